use proptest::prelude::*;

use super::*;
use crate::layer::sample::{index, node, path, tree};

type Layers<'a> = &'a [&'a [(char, &'a str, &'a str)]];

/// What is seen, as `path change`; a directory ends with a slash.
fn seen(tree: &Tree, scope: Scope) -> Vec<String> {
    let view = View::new(tree, scope);
    let sign = |id| match view.change(id) {
        Some(Change::Added) => " +",
        Some(Change::Modified) => " ~",
        Some(Change::Removed) => " -",
        Some(Change::Repeated) => " =",
        None => "",
    };
    let slash = |id| if view.is_directory(tree, id) { "/" } else { "" };
    view.all(tree).map(|id| format!("{}{}{}", path(tree, id), slash(id), sign(id))).collect()
}

const STORY: Layers<'static> = &[
    &[
        ('d', "etc/", ""),
        ('f', "etc/a", "one"),
        ('f', "etc/b", "two"),
        ('d', "opt/", ""),
        ('f', "opt/deep/x", "xxxx"),
        ('f', "opt/y", "yy"),
    ],
    &[('d', "etc/", ""), ('f', "etc/a", "other"), ('x', "etc/b", "two"), ('f', "etc/.wh.gone", ""), ('f', "new", "n")],
    &[('f', "etc/.wh.a", ""), ('f', "opt/.wh..wh..opq", ""), ('f', "opt/y", "yy"), ('f', "new/below", "b")],
];

#[test]
fn layers_come_to_one_tree() {
    let tree = tree(STORY);
    assert_eq!(seen(&tree, Scope::Merged(0)), ["etc/ +", "etc/a +", "etc/b +", "opt/ +", "opt/deep/ +", "opt/deep/x +", "opt/y +"]);
    assert_eq!(seen(&tree, Scope::Merged(1)), ["etc/ =", "etc/a ~", "etc/b ~", "new +", "opt/", "opt/deep/", "opt/deep/x", "opt/y"]);
    let last = ["etc/", "etc/a -", "etc/b", "new/ ~", "new/below +", "opt/", "opt/deep/ -", "opt/deep/x -", "opt/y ="];
    assert_eq!(seen(&tree, Scope::Merged(2)), last);
    assert_eq!(seen(&tree, Scope::Layer(1)), ["etc/ =", "etc/a ~", "etc/b ~", "new +"]);
    let layer = ["etc/", "etc/a -", "new/ ~", "new/below +", "opt/", "opt/deep/ -", "opt/deep/x -", "opt/y ="];
    assert_eq!(seen(&tree, Scope::Layer(2)), layer);
    assert_eq!(seen(&tree, Scope::Merged(usize::MAX)), ["etc/", "etc/b", "new/", "new/below", "opt/", "opt/y"]);
    let counts = View::new(&tree, Scope::Merged(2)).counts();
    assert_eq!(counts, Counts { added: 1, modified: 1, removed: 3, repeated: 1 });
}

#[test]
fn sizes_add_up_and_what_went_counts_only_for_what_went_with_it() {
    let tree = tree(STORY);
    let view = View::new(&tree, Scope::Merged(2));
    let bytes = |path: &str| (view.bytes(node(&tree, path)), view.files(node(&tree, path)));
    assert_eq!((bytes(""), bytes("etc"), bytes("opt")), ((6, 3), (3, 1), (2, 1)));
    assert_eq!((bytes("etc/a"), bytes("opt/deep"), bytes("opt/deep/x")), ((5, 1), (4, 1), (4, 1)));
    assert!(view.changes_below(NodeId::ROOT) && view.changes_below(node(&tree, "etc")) && !view.changes_below(node(&tree, "etc/b")));
    let layer = View::new(&tree, Scope::Layer(1));
    assert_eq!((layer.bytes(NodeId::ROOT), layer.files(NodeId::ROOT)), (9, 3));
}

#[test]
fn each_path_has_its_story() {
    let tree = tree(STORY);
    let told = |path: &str| tree.history(node(&tree, path)).iter().map(|step| (step.layer, step.deed, step.bytes)).collect::<Vec<_>>();
    assert_eq!(told("etc/a"), [(0, Deed::Added, 3), (1, Deed::Modified, 5), (2, Deed::Removed(Cause::Whiteout), 0)]);
    assert_eq!(told("opt/deep/x"), [(0, Deed::Added, 4), (2, Deed::Removed(Cause::Opaque), 0)]);
    assert_eq!(told("opt/y"), [(0, Deed::Added, 2), (2, Deed::Removed(Cause::Opaque), 0), (2, Deed::Added, 2)]);
    assert_eq!(told("new"), [(1, Deed::Added, 1), (2, Deed::Modified, 0)]);
    assert_eq!((tree.cost(node(&tree, "etc/a")), tree.cost(node(&tree, "etc/b"))), (8, 6));
    let view = View::new(&tree, Scope::Merged(2));
    assert_eq!(view.origin(&tree, node(&tree, "etc/b")).unwrap().0, 1);
    assert_eq!(view.origin(&tree, node(&tree, "etc/a")).unwrap().0, 1, "what went is from where it was written");
    assert_eq!(view.origin(&tree, node(&tree, "opt/deep")), None);
}

#[test]
fn one_thing_takes_the_place_of_another() {
    let tree = tree(&[
        &[('f', "a/b/c", "1"), ('f', "file", "2"), ('l', "link", "a")],
        &[('f', "a", "now a file"), ('d', "file/", ""), ('f', "link/x", "3")],
        &[('d', "a/", ""), ('f', "a/b/c", "1")],
    ]);
    assert_eq!(seen(&tree, Scope::Merged(1)), ["a ~", "a/b/ -", "a/b/c -", "file/ ~", "link/ ~", "link/x +"]);
    assert_eq!(seen(&tree, Scope::Merged(2)), ["a/ ~", "a/b/ +", "a/b/c +", "file/", "link/", "link/x"]);
    let removed = tree.history(node(&tree, "a/b/c"))[1];
    assert_eq!(removed.deed, Deed::Removed(Cause::Replaced));
}

#[test]
fn a_whiteout_hides_nothing_of_its_own_layer() {
    let before = tree(&[&[('f', "d/x", "1")], &[('f', ".wh.d", ""), ('f', "d/y", "2")]]);
    let after = tree(&[&[('f', "d/x", "1")], &[('f', "d/y", "2"), ('f', ".wh.d", "")]]);
    for tree in [before, after] {
        assert_eq!(seen(&tree, Scope::Merged(1)), ["d/ ~", "d/x -", "d/y +"]);
    }
    let lowest = tree(&[&[('f', "d/x", "1"), ('f', "d/.wh.x", ""), ('f', "d/.wh..wh..opq", ""), ('f', "e/.wh.z", "")]]);
    assert_eq!(seen(&lowest, Scope::Merged(0)), ["d/ +", "d/x +"]);
}

#[test]
fn marks_are_no_files() {
    let tree =
        tree(&[&[('f', ".wh..wh.plnk/12.34", "x"), ('f', ".wh..wh.aufs", ""), ('f', ".wh.", ""), ('f', ".wh...", ""), ('f', "a", "")]]);
    assert_eq!(seen(&tree, Scope::Merged(0)), ["a +"]);
}

#[test]
fn hostile_members_lead_nowhere() {
    let tree = tree(&[&[
        ('f', "../../a", "1"),
        ('f', "a", "22"),
        ('f', "/", "root as a file"),
        ('f', "", "nothing"),
        ('f', "b", ""),
        ('f', "b/c/../d", "3"),
        ('d', "./", ""),
        ('h', "l", "../../../a"),
    ]]);
    assert_eq!(seen(&tree, Scope::Merged(0)), ["a +", "b/ +", "b/d +", "l +"]);
    let view = View::new(&tree, Scope::Merged(0));
    assert_eq!(view.bytes(node(&tree, "a")), 2, "the later of two counts");
    assert_eq!(view.member(&tree, node(&tree, "l")).unwrap().linked(), Some(MemberId(1)));
    assert_eq!(view.bytes(NodeId::ROOT), 3, "a hard link adds nothing");
}

#[test]
fn paths_are_found_however_they_are_told() {
    let tree = tree(STORY);
    let found = node(&tree, "opt/deep/x");
    for told in ["/opt/deep/x", "./opt//deep/../deep/x", "../opt/deep/x", "opt/deep/x/"] {
        assert_eq!(tree.find(told.as_bytes()), Some(found));
    }
    assert_eq!((tree.find(b""), tree.find(b"opt/none")), (Some(NodeId::ROOT), None));
    assert_eq!(path(&tree, found), "opt/deep/x");
}

fn shown(tree: &Tree, rows: &Rows) -> Vec<String> {
    let row = |row: &Row| format!("{}{}", " ".repeat(usize::from(row.depth)), String::from_utf8_lossy(tree.name(row.node)));
    rows.window(0, usize::MAX).iter().map(row).collect()
}

#[test]
fn rows_open_fold_and_are_filtered() {
    let tree = tree(STORY);
    let view = View::new(&tree, Scope::Merged(2));
    let mut rows = Rows::new(&tree, &view);
    assert_eq!(shown(&tree, &rows), ["etc", "new", "opt"]);
    assert!(rows.open(&tree, &view, 2) && !rows.open(&tree, &view, 2));
    assert!(rows.open(&tree, &view, 3));
    assert_eq!(shown(&tree, &rows), ["etc", "new", "opt", " deep", "  x", " y"]);
    assert!(!rows.open(&tree, &view, 5), "a file has nothing in it");
    assert_eq!((rows.above(4), rows.above(3), rows.above(0)), (Some(3), Some(2), None));
    let other = View::new(&tree, Scope::Layer(0));
    assert_eq!(shown(&tree, &rows.again(&tree, &other)), ["etc", "opt", " deep", "  x", " y"]);
    assert!(rows.close(2) && !rows.close(2));
    assert_eq!(rows.len(), 3);
    assert_eq!(rows.reveal(&tree, &view, node(&tree, "opt/deep/x")), Some(4));
    let mut kept = Rows::filtered(&tree, &view, |id| tree.name(id) == b"x");
    assert_eq!(shown(&tree, &kept), ["opt", " deep", "  x"]);
    kept.close(0);
    kept.open(&tree, &view, 0);
    assert_eq!(shown(&tree, &kept), ["opt", " deep"], "what was filtered away does not come back");
    assert_eq!(kept.reveal(&tree, &view, node(&tree, "etc")), None);
    rows.open_all(&tree, &view);
    assert_eq!(rows.len(), view.all(&tree).count());
}

#[test]
fn children_stand_by_size_when_that_is_asked() {
    let tree = tree(&[&[('f', "a", "1"), ('f', "b", "333"), ('f', "c/d", "22"), ('f', "e", "1")]]);
    let mut view = View::new(&tree, Scope::Merged(0));
    view.set_order(&tree, Order::Size);
    assert_eq!(shown(&tree, &Rows::new(&tree, &view)), ["b", "c", "a", "e"]);
    view.set_order(&tree, Order::Name);
    assert_eq!(shown(&tree, &Rows::new(&tree, &view)), ["a", "b", "c", "e"]);
}

#[test]
fn a_broken_layer_counts_with_what_it_has() {
    let whole = crate::layer::sample::tar(&[('f', "a", "1"), ('f', "b", "2")]);
    let cut = crate::layer::index::read(&whole[..1024], &crate::layer::index::Known::default());
    let tree = Tree::new(vec![Arc::new(index(&[('f', "c", "3")])), Arc::new(cut)]).unwrap();
    assert_eq!(seen(&tree, Scope::Merged(1)), ["a +", "c"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Members of few names, so that all of them meet.
    #[test]
    fn whatever_layers_say_the_tree_is_sound(
        layers in proptest::collection::vec(proptest::collection::vec(("[fdlhc]", "((\\.wh\\.)?[ab](/\\.wh\\..wh\\..opq|/b)?){1,3}", "[ab]{0,3}"), 0..12), 1..5)
    ) {
        let layers: Vec<Vec<(char, &str, &str)>> =
            layers.iter().map(|members| members.iter().map(|(kind, path, more)| (kind.chars().next().unwrap(), path.as_str(), more.as_str())).collect()).collect();
        let slices: Vec<&[(char, &str, &str)]> = layers.iter().map(Vec::as_slice).collect();
        let tree = tree(&slices);
        for id in tree.nodes().skip(1) {
            prop_assert!(tree.parent(id) < id);
            prop_assert_eq!(tree.find(&tree.path(id)), Some(id));
        }
        for layer in 0..layers.len() {
            let view = View::new(&tree, Scope::Merged(layer));
            for id in tree.nodes().skip(1).filter(|&id| view.shows(id)) {
                prop_assert!(view.shows(tree.parent(id)));
                let removed = view.change(id) == Some(Change::Removed);
                prop_assert!(removed || view.is_directory(&tree, tree.parent(id)));
            }
            let files = |id| view.change(id) != Some(Change::Removed) && !view.is_directory(&tree, id);
            let sum: u64 = view.all(&tree).filter(|&id| files(id)).map(|id| view.bytes(id)).sum();
            prop_assert_eq!(view.bytes(NodeId::ROOT), sum);
            let mut rows = Rows::new(&tree, &view);
            rows.open_all(&tree, &view);
            prop_assert_eq!(rows.len(), view.all(&tree).count());
            while let Some(at) = (0..rows.len()).find(|&at| rows.get(at).is_some_and(|row| row.open)) {
                rows.close(at);
            }
            prop_assert_eq!(rows.len(), Rows::new(&tree, &view).len());
        }
    }
}
