//! Dependency cycles between the files of a crate. A file depends on the files that define the items that it
//! names, after re-exports are resolved. A cycle is a strongly connected component of these dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Attribute, Item, ItemMod, UseTree};

/// Path of a module, starting at the root of its crate.
type Module = Vec<String>;

/// Modules of a crate, and the names that they import and re-export.
#[derive(Default)]
struct Crate {
    files: BTreeMap<Module, (PathBuf, syn::File)>,
    /// For a module and a name that it imports with `use`, the path to which the name refers.
    names: BTreeMap<(Module, String), Vec<String>>,
    globs: BTreeMap<Module, Vec<Vec<String>>>,
}

/// Returns the dependencies between the folders of a crate as pairs of folders. A pair means that a file in the
/// first folder names an item in the second folder.
pub fn arrows(source: &Path) -> Vec<(String, String)> {
    let all = Crate::of(source);
    let mut arrows = BTreeSet::new();
    for from in all.files.keys().filter(|module| !module.is_empty()) {
        arrows.extend(all.edges(from).into_iter().map(|to| (from[0].clone(), to[0].clone())));
    }
    arrows.into_iter().filter(|(from, to)| from != to).collect()
}

/// Returns the dependency cycles of a crate. Each cycle is a sorted list of file paths, relative to `src`.
pub fn circles(source: &Path) -> Vec<Vec<String>> {
    let all = Crate::of(source);
    let modules: Vec<Module> = all.files.keys().cloned().collect();
    let graph: BTreeMap<&Module, BTreeSet<Module>> = modules.iter().map(|module| (module, all.edges(module))).collect();
    let reach: BTreeMap<&Module, BTreeSet<&Module>> =
        modules.iter().map(|from| (from, reachable(&graph, from))).collect();
    let mut circles = BTreeSet::new();
    for from in &modules {
        let mut circle: Vec<String> = modules
            .iter()
            .filter(|to| reach[from].contains(to) && reach[to].contains(from))
            .map(|module| all.files[module].0.strip_prefix(source).expect("below it").display().to_string())
            .collect();
        circle.sort();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable<'g>(graph: &'g BTreeMap<&'g Module, BTreeSet<Module>>, from: &'g Module) -> BTreeSet<&'g Module> {
    let mut seen = BTreeSet::new();
    let mut stack = vec![from];
    while let Some(module) = stack.pop() {
        for next in &graph[module] {
            if seen.insert(next) {
                stack.push(next);
            }
        }
    }
    seen
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

fn collect_uses<'f>(items: &'f [Item], uses: &mut Vec<&'f UseTree>) {
    for item in items {
        match item {
            Item::Use(item) if !is_test(&item.attrs) => uses.push(&item.tree),
            Item::Mod(ItemMod { content: Some((_, items)), attrs, .. }) if !is_test(attrs) => collect_uses(items, uses),
            _ => {}
        }
    }
}

impl Crate {
    fn of(source: &Path) -> Self {
        let mut all = Self::default();
        all.read(source, &[]);
        for module in all.files.keys().cloned().collect::<Vec<_>>() {
            let mut uses = vec![];
            collect_uses(&all.files[&module].1.items, &mut uses);
            let leaves = uses.into_iter().flat_map(leaves).collect();
            all.import(&module, leaves);
        }
        all
    }

    fn read(&mut self, folder: &Path, module: &[String]) {
        let mut entries: Vec<_> =
            fs::read_dir(folder).expect("a folder of sources").flatten().map(|e| e.path()).collect();
        entries.sort();
        for path in entries {
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                self.read(&path, &[module, &[stem]].concat());
            } else if path.extension().is_some_and(|e| e == "rs") && !stem.ends_with("tests") {
                let own = ["lib", "main", "mod"].contains(&stem.as_str());
                let name = if own { module.to_vec() } else { [module, &[stem]].concat() };
                let text = fs::read_to_string(&path).expect("a source");
                let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                self.files.insert(name, (path, file));
            }
        }
    }

    fn import(&mut self, module: &Module, leaves: Vec<Leaf>) {
        for (path, name) in leaves {
            let Some(path) = self.absolute(module, &path) else { continue };
            match name {
                Some(name) => drop(self.names.insert((module.clone(), name), path)),
                None => self.globs.entry(module.clone()).or_default().push(path),
            }
        }
    }

    /// Converts a path in a module to a path from the root of the crate; `None` if it leads to another crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let parent = &module[..module.len().checked_sub(1)?];
                if rest.first().is_some_and(|next| next == "super") {
                    return self.absolute(&parent.to_vec(), rest);
                }
                Some([parent, rest].concat())
            }
            _ => {
                let child = [module.as_slice(), std::slice::from_ref(first)].concat();
                if self.files.contains_key(&child) {
                    return Some([child.as_slice(), rest].concat());
                }
                self.names.get(&(module.clone(), first.clone())).map(|known| [known.as_slice(), rest].concat())
            }
        }
    }

    /// Returns the module whose file defines the item at `path`, which starts at the root of the crate.
    fn resolve(&self, path: &[String], depth: usize) -> Option<Module> {
        if depth > 16 {
            return None;
        }
        let mut module = Module::new();
        for (i, name) in path.iter().enumerate() {
            let child = [module.as_slice(), std::slice::from_ref(name)].concat();
            if self.files.contains_key(&child) {
                module = child;
                continue;
            }
            if let Some(known) = self.names.get(&(module.clone(), name.clone())) {
                return self.resolve(&[known.as_slice(), &path[i + 1..]].concat(), depth + 1);
            }
            let defined = defines(&self.files.get(&module)?.1.items, name);
            if !defined {
                for glob in self.globs.get(&module).into_iter().flatten() {
                    let through = self.resolve(&[glob.as_slice(), &path[i..]].concat(), depth + 1);
                    if through.as_ref().is_some_and(|found| defines(&self.files[found].1.items, name)) {
                        return through;
                    }
                }
            }
            return Some(module);
        }
        Some(module)
    }

    fn edges(&self, module: &Module) -> BTreeSet<Module> {
        let mut paths = Paths::default();
        paths.visit_file(&self.files[module].1);
        let mut found = BTreeSet::new();
        for path in paths.0 {
            let known = self.absolute(module, &path).and_then(|path| self.resolve(&path, 0));
            // The root only re-exports items of other modules, so it does not count as a dependency.
            found.extend(known.filter(|to| to != module && !to.is_empty()));
        }
        found
    }
}

fn defines(items: &[Item], name: &str) -> bool {
    items.iter().any(|item| match item {
        Item::Const(item) => item.ident == name,
        Item::Enum(item) => item.ident == name,
        Item::Fn(item) => item.sig.ident == name,
        Item::Static(item) => item.ident == name,
        Item::Struct(item) => item.ident == name,
        Item::Trait(item) => item.ident == name,
        Item::Type(item) => item.ident == name,
        _ => false,
    })
}

/// Path that a `use` declaration names, and the name under which it is imported; `None` for a glob import.
type Leaf = (Vec<String>, Option<String>);

fn leaves(tree: &UseTree) -> Vec<Leaf> {
    let mut leaves = vec![];
    flatten(tree, &mut vec![], &mut leaves);
    leaves
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<Leaf>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => leaves.push((prefix.clone(), prefix.last().cloned())),
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            leaves.push(([prefix.as_slice(), std::slice::from_ref(&name)].concat(), Some(name)));
        }
        UseTree::Rename(rename) => {
            let path = [prefix.as_slice(), &[rename.ident.to_string()]].concat();
            leaves.push((path, Some(rename.rename.to_string())));
        }
        UseTree::Glob(_) => leaves.push((prefix.clone(), None)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, leaves)),
    }
}

/// Paths that a file names, except in tests and in re-exports (`pub use`).
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl<'f> Visit<'f> for Paths {
    fn visit_item_mod(&mut self, item: &'f ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'f syn::ItemUse) {
        if matches!(item.vis, syn::Visibility::Inherited) && !is_test(&item.attrs) {
            self.0.extend(leaves(&item.tree).into_iter().map(|(path, _)| path));
        }
    }

    fn visit_path(&mut self, path: &'f syn::Path) {
        if path.segments.len() > 1 {
            self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}
