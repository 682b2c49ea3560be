//! Where a path leads: to the module that defines what it names, through imports and re-exports.

use super::source::{Crate, Import, Module, ROOT};

/// Longer chains of imports are endless: an import may have the name of the crate that it comes from.
const FUEL: u32 = 16;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// A module itself.
    Module(usize),
    /// Something that this module defines.
    Item(usize),
}

impl Found {
    fn module(self) -> usize {
        match self {
            Self::Module(module) | Self::Item(module) => module,
        }
    }
}

impl Crate {
    /// The pairs of files of which the first uses the second.
    pub fn edges(&self) -> Vec<(usize, usize)> {
        let mut edges = Vec::new();
        for (index, module) in self.modules.iter().enumerate() {
            // A module file that re-exports what its own modules define gives it a shorter name and needs nothing of it:
            // users of that name count as users of the file that defines it.
            let imports = module.imports.iter().filter_map(|import| {
                let found = self.follow(index, &import.path, FUEL)?.module();
                (!(import.reexport && self.is_inside(found, index))).then_some(found)
            });
            let paths = module.paths.iter().filter_map(|path| Some(self.follow(index, path, FUEL)?.module()));
            let to = imports.chain(paths).filter_map(|found| Some(self.modules.get(found)?.file));
            edges.extend(to.filter(|file| *file != module.file).map(|file| (module.file, file)));
        }
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    fn parent(&self, module: usize) -> Option<usize> {
        self.modules.get(module)?.parent
    }

    fn is_inside(&self, module: usize, outer: usize) -> bool {
        std::iter::successors(self.parent(module), |module| self.parent(*module))
            .any(|module| module == outer)
    }

    /// Follows a path from a module. `None` for what other crates define.
    fn follow(&self, from: usize, path: &[String], fuel: u32) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        let mut found = match first.as_str() {
            "crate" => Found::Module(ROOT),
            "self" => Found::Module(from),
            "super" => Found::Module(self.parent(from)?),
            name => self.lookup(from, name, fuel)?,
        };
        for name in rest {
            let Found::Module(module) = found else { break };
            found = match name.as_str() {
                "self" => found,
                "super" => Found::Module(self.parent(module)?),
                name => match self.lookup(module, name, fuel) {
                    Some(found) => found,
                    // A macro generates it there, unless it is a macro itself: those live at the root.
                    None if module == ROOT => return None,
                    None => Found::Item(module),
                },
            };
        }
        Some(found)
    }

    /// What a name means inside a module.
    fn lookup(&self, module: usize, name: &str, fuel: u32) -> Option<Found> {
        let fuel = fuel.checked_sub(1)?;
        let here: &Module = self.modules.get(module)?;
        if let Some(child) = here.children.get(name) {
            return Some(Found::Module(*child));
        }
        if here.items.contains(name) {
            return Some(Found::Item(module));
        }
        let follow = |import: &Import| self.follow(module, &import.path, fuel);
        if let Some(import) = here.imports.iter().find(|import| import.name.as_deref() == Some(name)) {
            // Something from another crate that this module offers under its own name is this module's.
            return follow(import).or(import.reexport.then_some(Found::Item(module)));
        }
        // A glob's contents are not searched to find where that glob, or another one, comes from.
        let globs = here.imports.iter().filter(|import| import.name.is_none());
        let globs =
            globs.filter(|import| import.path.first().is_some_and(|first| self.is_known(module, first)));
        globs.filter_map(follow).find_map(|from| match from {
            Found::Module(from) if from != module => self.lookup(from, name, fuel),
            _ => None,
        })
    }

    /// Whether a path that begins with `first` stays in this crate without a glob's help.
    fn is_known(&self, module: usize, first: &str) -> bool {
        ["crate", "self", "super"].contains(&first)
            || self.modules.get(module).is_some_and(|here| {
                let imported = here.imports.iter().any(|import| import.name.as_deref() == Some(first));
                imported || here.children.contains_key(first) || here.items.contains(first)
            })
    }
}
