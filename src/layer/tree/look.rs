//! A look at a tree as it is asked for, and what there is to be seen of it: the one place where that is worked out, which takes as long as the tree is
//! large.

use std::collections::HashSet;

use super::{NodeId, Order, Rows, Scope, Tree, View, Wanted};

/// What is to be seen of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub scope: Scope,
    pub order: Order,
    /// Only what is like that, and the directories above it.
    pub wanted: Option<Wanted>,
}

impl Look {
    /// Works out what is seen of `tree`. The directories that `open` names, of this or another tree, are open; with a filter those that it
    /// leaves something in.
    #[must_use]
    pub fn at(&self, tree: &Tree, open: Option<(&Tree, &[NodeId])>) -> (View, Rows) {
        let mut view = View::new(tree, self.scope);
        view.set_order(tree, self.order);
        let rows = match (&self.wanted, open) {
            (Some(wanted), _) => Rows::filtered(tree, &view, |id| wanted.matches(tree, &view, id)),
            (None, Some((of, open))) if std::ptr::eq(of, tree) => {
                let open: HashSet<NodeId> = open.iter().copied().collect();
                Rows::opened(tree, &view, |id| open.contains(&id))
            }
            (None, Some((of, open))) => {
                let open: HashSet<NodeId> = open.iter().filter_map(|&id| tree.find(&of.path(id))).collect();
                Rows::opened(tree, &view, |id| open.contains(&id))
            }
            (None, None) => Rows::new(tree, &view),
        };
        (view, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::sample::{path, tree};

    fn rows(tree: &Tree, look: &Look, open: Option<(&Tree, &[NodeId])>) -> Vec<String> {
        let (_, rows) = look.at(tree, open);
        rows.window(0, rows.len()).iter().map(|row| path(tree, row.node)).collect()
    }

    #[test]
    fn what_was_open_is_open_in_a_later_tree_as_well() {
        let early = tree(&[&[('f', "a/b/c", "1"), ('f', "d/e", "2")], &[]]);
        let late = tree(&[&[('f', "a/b/c", "1"), ('f', "d/e", "2")], &[('f', "a/a", "3"), ('f', "z", "4")]]);
        let look = Look { scope: Scope::Merged(1), order: Order::Name, wanted: None };
        let open: Vec<NodeId> = [&b"a"[..], b"a/b"].iter().map(|path| early.find(path).unwrap()).collect();
        assert_eq!(rows(&early, &look, None), ["a", "d"]);
        assert_eq!(rows(&early, &look, Some((&early, &open))), ["a", "a/b", "a/b/c", "d"]);
        assert_eq!(rows(&late, &look, Some((&early, &open))), ["a", "a/a", "a/b", "a/b/c", "d", "z"]);
        let found = Look { wanted: Some(Wanted::parse("E").unwrap()), ..look };
        assert_eq!(rows(&late, &found, Some((&early, &open))), ["d", "d/e"], "with a filter that alone says what is open");
    }
}
