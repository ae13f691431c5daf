use proptest::prelude::*;

use super::super::command::Command;
use super::*;

fn told(script: &str) -> Vec<String> {
    let all = commands(script);
    all.iter().map(|command| told_of(command, &all)).collect()
}

/// Its words, with what is piped into it before them.
fn told_of(command: &Command, all: &[Command]) -> String {
    let sets: Vec<String> = command.sets.iter().map(|(name, value)| format!("{name}:{value} ")).collect();
    let piped = command.piped.and_then(|at| all.get(at)).map(|from| format!("{} > ", from.name())).unwrap_or_default();
    let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
    format!("{piped}{}{}", sets.concat(), words.join("_")).replace(INNER, "()")
}

#[test]
fn commands_are_told_apart() {
    for (script, words) in [
        ("a b && c || d; e & f\ng", &["a_b", "c", "d", "e", "f", "g"][..]),
        ("a | b|c |& d", &["a", "a > b", "b > c", "c > d"]),
        ("echo 'a && b' \"c; d\" e\\ f g\\\n h", &["echo_a && b_c; d_e f_g_h"]),
        ("echo \"a \\\"b\\\" \\x $c\"", &["echo_a \"b\" \\x $c"]),
        ("A=1 B='2 3' make C=4", &["A:1 B:2 3 make_C=4"]),
        ("export A=1 B; A=2", &["A:1 export_A=1_B", "A:2 "]),
        ("a > b 2>&1 < c >>d &>e f", &["a_f"]),
        ("a # b && c\nd", &["a", "d"]),
        ("a#b '#c'", &["a#b_#c"]),
        ("if a; then b; elif ! c; then { d; }; else e; fi", &["a", "b", "c", "d", "e"]),
        ("for i in a b; do c $i; done | d", &["for_i_in_a_b", "c_$i", "c > d"]),
        ("f() { a; }; f", &["a", "f"]),
        ("(a; b) | (c)", &["a", "b", "b > c"]),
        ("x=(sudo curl) y", &["x: y"]),
        ("case \"$x\" in a|b) c ;; curl | sh) d ;; *) e; esac; f", &["case_$x_in_a", "", "c", "", "", "d", "", "e", "f"]),
        ("a \"$(b | c)\" d", &["b", "b > c", "a_$()_d"]),
        ("a `b c` $((1 + (2))) ${d:-e f}", &["b_c", "a_$()_$(())_${d:-e f}"]),
        ("bash <(curl x)", &["curl_x", "bash_<()"]),
        ("sh -c 'a && b' c", &["sh_-c_a && b_c", "a", "b"]),
        ("su app -c \"a; b\"", &["su_app_-c_a; b", "a", "b"]),
        ("eval a b", &["eval_a_b", "a_b"]),
        ("sh -c \"$(a)\"", &["a", "sh_-c_$()"]),
        ("cat <<EOF > x && a\nb && c\nEOF\nd", &["cat", "a", "d"]),
        ("cat <<-'E F'\n\tb\n\tE F\nd", &["cat", "d"]),
        ("bash -e <<EOF\nb\nEOF\nd", &["bash_-e", "b", "d"]),
        ("a $(case x in y) b;; esac) c", &["case_x_in_y", "b", "a_$()_c"]),
        ("a 'b", &["a_b"]),
        ("a \"$(b", &["b", "a_$()"]),
        ("", &[]),
        (";;&&||()", &[]),
    ] {
        assert_eq!(told(script), words, "{script}");
    }
}

#[test]
fn a_command_is_found_behind_what_runs_it() {
    for (script, name) in [
        ("sudo -E -u app bash -", "bash"),
        ("env A=1 -i /usr/bin/curl x", "curl"),
        ("timeout -s KILL 10 wget x", "wget"),
        ("exec nice -n 5 gosu app tool", "tool"),
        ("xargs -r -n 1 apt-get install -y", "apt-get"),
        ("sudo", "sudo"),
        ("sudo -E", "sudo"),
        ("/bin/sh", "sh"),
    ] {
        assert_eq!(commands(script)[0].name(), name, "{script}");
    }
    assert!(commands("env sudo -n a")[0].goes_through("sudo"));
    assert!(!commands("echo sudo")[0].goes_through("sudo"));
}

#[test]
fn a_program_comes_from_the_input_only_where_nothing_else_gives_it() {
    for (script, is) in [
        ("sh", true),
        ("bash -ex", true),
        ("bash -s -- --yes", true),
        ("bash -o pipefail", true),
        ("sh -", true),
        ("python3 -", true),
        ("bash script.sh", false),
        ("bash -c 'a'", false),
        ("sh -ec a", false),
        ("bash -- script.sh", false),
    ] {
        assert_eq!(commands(script)[0].reads_program(&["c"]), is, "{script}");
    }
}

#[test]
fn a_large_or_deep_script_takes_no_longer_than_it_is() {
    for unit in [
        "$(",
        "\"$(",
        "`",
        "(",
        "<<E ",
        "${",
        "$((",
        "a;",
        "'",
        "sh -c \"",
        "case x in ",
        "\\",
        "<(",
        "x=(",
        "a|",
        "<<E\n",
        "a <<E;",
        "eval ",
        "é",
    ] {
        let script = unit.repeat((1 << 16) / unit.len());
        assert!(commands(&script).len() <= MOST_COMMANDS, "{unit}");
    }
    assert_eq!(commands(&"a;".repeat(1 << 20)).len(), MOST_COMMANDS);
    assert!(commands(&format!("{} && sudo a", "é".repeat(1 << 20))).len() == 1);
    let mut quoted = "curl -k x".to_owned();
    for _ in 0..30 {
        quoted = format!("sh -c {}", shell_quoted(&quoted));
        if quoted.len() > 1 << 20 {
            break;
        }
    }
    assert!(commands(&quoted).len() <= DEEPEST + 2);
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

proptest! {
    #[test]
    fn any_script_is_read(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("$("), Just(")"), Just("\""), Just("'"), Just("`"), Just("<<E"), Just("\nE\n"), Just("\n"), Just("|"), Just("&&"), Just(";;"),
                Just("case x in"), Just("esac"), Just("sh -c "), Just("\\"), Just("2>"), Just("<("), Just("${"), Just("$(("), Just(" a "), Just("x=("),
                Just("\u{1}"), Just("é"), Just("eval "), Just("-c"), Just("#")
            ],
            0..80,
        ),
        other in "\\PC{0,200}",
    ) {
        for script in [pieces.concat(), other] {
            let all = commands(&script);
            for command in &all {
                let _ = (command.shown(&all), command.name(), command.reads_program(&["c"]));
            }
        }
    }
}
