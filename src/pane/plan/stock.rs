//! What lies in the places that the plan's lines are about, and the bytes that the lines free there.

use std::collections::{BTreeMap, HashMap};

use super::{Line, PlanPane, Repository};
use crate::curate::freed::{Stock, Total, unread};
use crate::model::remote::Held;
use crate::model::{Digest, ImageList, Layers, Operation, SourceId, Verb};

/// By engine or store, and by repository.
#[derive(Debug, Default)]
pub(super) struct Stocks {
    images: BTreeMap<SourceId, Stock>,
    repositories: BTreeMap<Repository, Stock>,
    /// What all lines of a place free, by what they stand under.
    totals: BTreeMap<String, Total>,
}

impl PlanPane {
    pub(super) fn stock_images(&mut self, source: &SourceId, list: &ImageList, layers: &Layers) {
        self.stocks.images.insert(source.clone(), Stock::of_images(list, layers));
    }

    pub(super) fn stock_repository(&mut self, repository: &Repository) {
        if let Some((view, _)) = self.views.get(repository) {
            self.stocks.repositories.insert(repository.clone(), Stock::of_repository(view));
        }
    }

    /// More is known of what the images of a source hold.
    pub fn weigh_images(&mut self, source: &SourceId, layers: &Layers) {
        let Some(list) = self.lists.get(source).cloned() else { return };
        self.stock_images(source, &list, layers);
        self.weigh();
    }

    /// More is known of what the manifests of a repository hold.
    pub fn weigh_manifests(&mut self, repository: &Repository, held: BTreeMap<Digest, Held>) {
        let Some((view, _)) = self.views.get_mut(repository) else { return };
        view.held.extend(held);
        self.stock_repository(repository);
        self.weigh();
    }

    /// Whether lines take images of a source away, whose bytes are to be known.
    #[must_use]
    pub fn takes_images(&self, source: &SourceId) -> bool {
        self.lines.iter().any(|line| line.operation.verb == Verb::DeleteImage && line.operation.source == *source)
    }

    /// Manifests of a repository that have to be read to know what the lines free, those that go first.
    #[must_use]
    pub fn unread(&self, repository: &Repository) -> Vec<Digest> {
        let Some((view, _)) = self.views.get(repository) else { return Vec::new() };
        let lines: Vec<Operation> = self.lines.iter().filter(|line| line.place == view.name).map(|line| line.operation.clone()).collect();
        unread(view, &lines)
    }

    /// Says of every line what it frees. A plan about a run says what its lines said.
    pub(super) fn weigh(&mut self) {
        self.stocks.totals.clear();
        if self.fixed.is_some() {
            return;
        }
        let Self { stocks, lines, views, .. } = self;
        // Each line is looked at once, however many places there are: of a repository by its name, else by its source.
        let mut places: HashMap<String, (&str, Vec<&mut Operation>)> = HashMap::new();
        for Line { operation, place, .. } in lines {
            let key = if operation.source.registry_host().is_some() { place.clone() } else { operation.source.0.clone() };
            places.entry(key).or_insert_with(|| (place.as_str(), Vec::new())).1.push(operation);
        }
        let images = stocks.images.iter().map(|(source, stock)| (source.0.as_str(), stock));
        let repositories = stocks.repositories.iter();
        let repositories = repositories.filter_map(|(repository, stock)| Some((views.get(repository)?.0.name.as_str(), stock)));
        for (key, stock) in images.chain(repositories) {
            if let Some((place, its)) = places.remove(key) {
                stocks.totals.insert(place.to_owned(), stock.fill(its));
            }
        }
    }

    /// What all lines that stand under `place` free.
    #[must_use]
    pub fn freed(&self, place: &str) -> Option<&Total> {
        self.stocks.totals.get(place)
    }

    /// What the figures rest on where not all is known: of one place in its words.
    #[must_use]
    pub fn basis(&self) -> Option<String> {
        let mut rough = self.stocks.totals.values().filter(|total| total.at_most > 0).filter_map(Total::basis);
        let first = rough.next()?;
        Some(if rough.next().is_none() { first } else { "based on what is known".to_owned() })
    }
}
