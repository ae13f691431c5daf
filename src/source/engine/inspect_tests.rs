//! From the engine's inspect and history answers to one image.

use super::*;

fn digests_of(count: u8) -> Vec<Option<Digest>> {
    (0..count).map(|n| Some(Digest::sha256(&[n]))).collect()
}

fn rows(text: &str) -> Vec<HistoryRow<'_>> {
    serde_json::from_str::<List<HistoryRow<'_>>>(text).unwrap().0
}

fn sizes(layers: &[LayerInfo]) -> Vec<Option<u64>> {
    layers.iter().map(|layer| layer.size).collect()
}

#[test]
fn steps_with_bytes_are_the_layers() {
    let rows = rows(r#"[{"Size":10,"CreatedBy":"ADD"},{"Size":0,"CreatedBy":"CMD [\"sh\"]"},{"Size":5,"CreatedBy":"RUN x"}]"#);
    let (layers, history) = match_up(&digests_of(2), &rows);
    assert_eq!(sizes(&layers), [Some(10), Some(5)]);
    assert_eq!(history.iter().map(|step| step.empty_layer).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(history[2].diff_id, layers[1].diff_id);
    assert_eq!(layers[1].created_by.as_ref().unwrap().raw(), "RUN x");
}

#[test]
fn an_empty_run_is_a_layer_and_a_setting_is_not() {
    let rows = rows(
        r#"[{"Size":10,"CreatedBy":"/bin/sh -c #(nop) ADD file:x in /"},{"Size":0,"CreatedBy":"/bin/sh -c #(nop)  ENV a=b"},
            {"Size":0,"CreatedBy":"/bin/sh -c true"},{"Size":0,"CreatedBy":"LABEL a=b"}]"#,
    );
    let (layers, history) = match_up(&digests_of(2), &rows);
    assert_eq!(sizes(&layers), [Some(10), Some(0)]);
    assert_eq!(history.iter().map(|step| step.empty_layer).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn where_steps_and_layers_do_not_agree_nothing_is_guessed() {
    let rows = rows(r#"[{"Size":10,"CreatedBy":"ADD"},{"Size":0,"CreatedBy":"RUN a"},{"Size":0,"CreatedBy":"RUN b"}]"#);
    let (layers, history) = match_up(&digests_of(2), &rows);
    assert_eq!(sizes(&layers), [None, None]);
    assert!(history.iter().all(|step| step.diff_id.is_none()));
    let (layers, history) = match_up(&digests_of(3), &[]);
    assert_eq!((layers.len(), history.len()), (3, 0));
    let (layers, history) = match_up(&[], &rows);
    assert_eq!((layers.len(), history.len()), (0, 3));
}

#[test]
fn a_manifest_digest_is_known_when_all_agree() {
    let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
    let name = |digest: &Digest| Name::new(&format!("r@{digest}"));
    assert_eq!(manifest_digest(&Value::Null, &[name(&one), name(&one)]), Some(one.clone()));
    assert_eq!(manifest_digest(&Value::Null, &[name(&one), name(&two)]), None);
    assert_eq!(manifest_digest(&Value::Null, &[]), None);
    assert_eq!(manifest_digest(&Value::Null, &[Name::new("r@sha256:../x")]), None);
}

#[test]
fn an_odd_configuration_is_read_as_far_as_it_makes_sense() {
    let config =
        config(&serde_json::json!({"User":7,"Cmd":"sh","Entrypoint":null,"Env":["A=1",5],"ExposedPorts":{"80/tcp":{}},"Volumes":[],
        "Labels":{"a":null},"Healthcheck":{"Test":["CMD","x"]},"WorkingDir":""}));
    assert_eq!(config.cmd.unwrap().len(), 1);
    assert_eq!(config.env.len(), 1);
    assert_eq!(config.exposed_ports.len(), 1);
    assert!(config.user.is_none() && config.entrypoint.is_none() && config.working_dir.is_none());
    assert_eq!(config.labels["a"].raw(), "");
    assert_eq!(config.healthcheck.unwrap().len(), 2);
}
