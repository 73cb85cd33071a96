//! Which module uses which, read from the syntax trees of a package.
//!
//! Paths are resolved as the compiler does for what matters here: `crate`, `self`, `super` at any
//! depth, children by their bare names, `use` trees with renames and globs, and names that a module
//! re-exports from elsewhere. Paths inside macro calls are read from their tokens. Tests within a
//! file (`#[cfg(test)]`) are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::sources::sources;

/// A module's place in its package: `["network", "fluid"]`; the root is empty.
type Place = Vec<String>;

/// The modules of one package.
pub struct Crate {
    name: String,
    modules: BTreeMap<Place, Module>,
}

struct Module {
    file: String,
    syntax: syn::File,
    /// Names brought in by `use`, and the paths they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// All paths used, as written.
    paths: BTreeSet<Vec<String>>,
}

/// One child of `parent` uses another.
pub struct Edge {
    pub parent: Place,
    pub from_child: String,
    pub to_child: String,
    file: String,
    used: String,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} uses {}", self.file, self.used)
    }
}

impl Crate {
    pub fn read(folder: &str, name: &str) -> Self {
        let mut modules = BTreeMap::new();
        for (file, text) in sources(folder) {
            let syntax = syn::parse_file(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
            let mut reader = Reader::default();
            reader.visit_file(&syntax);
            let Reader { names, paths, .. } = reader;
            let place = place_of(file.strip_prefix(folder).expect("inside its folder"));
            // A package may have two roots, main.rs and lib.rs.
            modules
                .entry(place)
                .and_modify(|module: &mut Module| module.paths.extend(paths.clone()))
                .or_insert(Module { file, syntax, names, paths });
        }
        Self { name: name.to_owned(), modules }
    }

    pub fn children_of<'c>(&'c self, parent: &'c [String]) -> impl Iterator<Item = &'c str> {
        let is_child =
            |place: &&Place| place.len() == parent.len() + 1 && place.starts_with(parent);
        self.modules.keys().filter(is_child).map(|place| place.last().expect("a child").as_str())
    }

    /// Every module with children, and how many.
    pub fn families(&self) -> Vec<(String, usize)> {
        let count = |place: &Place| self.children_of(place).count();
        let name = |place: &Place| format!("{}::{}", self.name, place.join("::"));
        self.modules
            .keys()
            .map(|place| (name(place).trim_end_matches(':').to_owned(), count(place)))
            .filter(|(_, children)| *children > 0)
            .collect()
    }

    /// The length of every function, and where it is.
    pub fn functions(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for module in self.modules.values() {
            let mut lengths = Lengths::default();
            lengths.visit_file(&module.syntax);
            let place = |(lines, name)| (lines, format!("{}: {name}", module.file));
            found.extend(lengths.found.into_iter().map(place));
        }
        found
    }

    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (place, module) in &self.modules {
            for path in &module.paths {
                for target in self.resolve(place, path) {
                    edges.extend(self.edge(place, &target, path));
                }
            }
        }
        edges
    }

    fn edge(&self, from: &Place, to: &Place, path: &[String]) -> Option<Edge> {
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        // A parent and its child, in either direction, or a module and itself.
        let (from_child, to_child) = (from.get(common)?, to.get(common)?);
        Some(Edge {
            parent: from[..common].to_vec(),
            from_child: from_child.clone(),
            to_child: to_child.clone(),
            file: self.modules[from].file.clone(),
            used: path.join("::"),
        })
    }

    /// The modules that a path leads to: the one it names, and those that re-exports lead on to.
    fn resolve(&self, from: &Place, path: &[String]) -> Vec<Place> {
        let mut targets = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = self.absolute(from, path);
        while let Some(full) = next.take() {
            let depth = (0..=full.len()).rev().find(|n| self.modules.contains_key(&full[..*n]));
            let Some(depth) = depth else { break };
            if !seen.insert(full.clone()) {
                break;
            }
            let module = full[..depth].to_vec();
            if let Some(name) = full.get(depth) {
                next = self.modules[&module].names.get(name).and_then(|path| {
                    let mut path = self.absolute(&module, path)?;
                    path.extend_from_slice(&full[depth + 1..]);
                    Some(path)
                });
            }
            targets.push(module);
        }
        targets
    }

    /// A path from the root of the package; none if it leads to another package.
    fn absolute(&self, from: &Place, path: &[String]) -> Option<Vec<String>> {
        let (first, mut rest) = path.split_first()?;
        let mut at = from.clone();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop()?;
                while rest.first().is_some_and(|word| word == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            name if name == self.name => at.clear(),
            child => {
                at.push(child.to_owned());
                if !self.modules.contains_key(&at) {
                    return None;
                }
            }
        }
        at.extend_from_slice(rest);
        Some(at)
    }

    /// The circles among the children of every module, each as the edges between them.
    pub fn circles(&self) -> Vec<String> {
        let edges = self.edges();
        let mut arrows: BTreeMap<&Place, BTreeMap<&str, BTreeMap<&str, &Edge>>> = BTreeMap::new();
        for edge in &edges {
            let from = arrows.entry(&edge.parent).or_default().entry(&edge.from_child).or_default();
            from.entry(&edge.to_child).or_insert(edge);
        }
        let mut found = Vec::new();
        for siblings in arrows.values() {
            let reach = |from: &str| reachable(siblings, from);
            for (from, tos) in siblings {
                for (to, edge) in tos {
                    if reach(to).contains(from) {
                        found.push(format!("  {from} → {to}: {edge}"));
                    }
                }
            }
        }
        found
    }
}

fn reachable<'e>(
    arrows: &BTreeMap<&'e str, BTreeMap<&'e str, &'e Edge>>,
    from: &str,
) -> BTreeSet<&'e str> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&str> = vec![from];
    while let Some(at) = left.pop() {
        for to in arrows.get(at).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(*to) {
                left.push(to);
            }
        }
    }
    reached
}

/// `/network/fluid.rs` → `["network", "fluid"]`.
fn place_of(file: &str) -> Place {
    let path = file.trim_start_matches('/').trim_end_matches(".rs");
    let mut place: Place = path.split('/').map(str::to_owned).collect();
    if place.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
        place.pop();
    }
    place
}

#[derive(Default)]
struct Reader {
    names: BTreeMap<String, Vec<String>>,
    paths: BTreeSet<Vec<String>>,
    /// How many modules written within the file are open.
    inline: usize,
}

impl Reader {
    /// Notes a path; within an inline module, `super` first leads back to the file's own module.
    fn take(&mut self, mut path: Vec<String>) {
        for _ in 0..self.inline {
            match path.first().map(String::as_str) {
                Some("super") => path[0] = "self".to_owned(),
                _ => break,
            }
            if path.get(1).is_some_and(|word| word == "super") {
                path.remove(0);
            }
        }
        self.paths.insert(path);
    }

    fn take_tree(&mut self, tree: &syn::UseTree, mut before: Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.take_tree(&path.tree, before);
            }
            syn::UseTree::Name(name) if name.ident == "self" => self.take_name(None, before),
            syn::UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.take_name(None, before);
            }
            syn::UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    before.push(rename.ident.to_string());
                }
                self.take_name(Some(rename.rename.to_string()), before);
            }
            syn::UseTree::Glob(_) => self.take(before),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.take_tree(item, before.clone());
                }
            }
        }
    }

    fn take_name(&mut self, name: Option<String>, path: Vec<String>) {
        if let Some(name) = name.or_else(|| path.last().cloned()) {
            self.names.insert(name, path.clone());
        }
        self.take(path);
    }

    /// Paths such as `super::f(x)` among the tokens of a macro call.
    fn take_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.take_if_rooted(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.take_if_rooted(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.take_tokens(group.stream());
                    }
                }
            }
        }
        self.take_if_rooted(path);
    }

    fn take_if_rooted(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.take(path);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let is_test = |list: &syn::MetaList| list.tokens.to_string() == "test";
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(is_test)
    })
}

impl<'a> Visit<'a> for Reader {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.take_tree(&item.tree, Vec::new());
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            self.inline += 1;
            visit::visit_item_mod(self, item);
            self.inline -= 1;
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.take_if_rooted(words);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.take_tokens(call.tokens.clone());
    }
}

#[derive(Default)]
struct Lengths {
    found: Vec<(usize, String)>,
}

impl Lengths {
    fn take(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line + 1 - signature.fn_token.span().start().line;
        self.found.push((lines, signature.ident.to_string()));
    }
}

impl<'a> Visit<'a> for Lengths {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.take(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.take(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.take(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}
