//! The modules of one crate as its source files declare them: what each defines, imports and names.
//!
//! What is compiled for tests only does not count: `#[cfg(test)]`, and what is behind the feature `testing`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Item, UseTree, Visibility};

/// The root module's place in [`Crate::modules`].
pub const ROOT: usize = 0;

/// The feature behind which a package keeps what others test with.
const TESTING: &str = "\"testing\"";

/// All modules of a crate, the root first.
#[derive(Debug, Default)]
pub struct Crate {
    /// Their files, relative to the root's directory.
    pub files: Vec<String>,
    /// The modules; inline ones share the file of the one around them.
    pub modules: Vec<Module>,
}

/// One module.
#[derive(Debug, Default)]
pub struct Module {
    /// Its place in [`Crate::files`].
    pub file: usize,
    /// The module around it; none for the root.
    pub parent: Option<usize>,
    /// The modules declared in it.
    pub children: BTreeMap<String, usize>,
    /// What it defines.
    pub items: BTreeSet<String>,
    /// Its `use` declarations.
    pub imports: Vec<Import>,
    /// Every path of two or more segments in its code.
    pub paths: Vec<Vec<String>>,
}

/// One leaf of a `use` declaration.
#[derive(Debug)]
pub struct Import {
    /// The name it introduces; none for a glob.
    pub name: Option<String>,
    /// What it names.
    pub path: Vec<String>,
    /// Whether others see it too.
    pub reexport: bool,
}

impl Crate {
    /// Reads the crate whose root is the file `root`; `read` gives a file's text by its path relative to the crate.
    ///
    /// # Errors
    /// When a file does not parse, or a module has no file where Rust looks for it.
    pub fn read(root: &str, read: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut found = Self::default();
        found.file(root, "", None, read)?;
        Ok(found)
    }

    /// A file by its place.
    pub fn name(&self, file: usize) -> &str {
        self.files.get(file).map_or("?", String::as_str)
    }

    /// Reads a file as a module whose own modules are in the directory `dir`, and returns the module.
    fn file(
        &mut self,
        file: &str,
        dir: &str,
        parent: Option<usize>,
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Result<usize> {
        let text = read(file).with_context(|| format!("{file} does not exist"))?;
        let syntax = syn::parse_file(&text).with_context(|| format!("{file} does not parse"))?;
        self.files.push(file.to_owned());
        self.module(self.files.len() - 1, dir, parent, &syntax.items, read)
    }

    fn module(
        &mut self,
        file: usize,
        dir: &str,
        parent: Option<usize>,
        items: &[Item],
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Result<usize> {
        let this = self.modules.len();
        self.modules.push(Module::default());
        let mut module = Module { file, parent, ..Module::default() };
        for item in items.iter().filter(|item| !are_for_tests(attributes(item))) {
            if let Item::Mod(declared) = item {
                let name = declared.ident.to_string();
                let dir = join(dir, &name);
                let child = match &declared.content {
                    Some((_, items)) => self.module(file, &dir, Some(this), items, read)?,
                    None => {
                        let (short, long) = (format!("{dir}.rs"), format!("{dir}/mod.rs"));
                        let Some(place) = [&short, &long].into_iter().find(|place| read(place).is_some())
                        else {
                            bail!("module {name} has neither a file {short} nor {long}");
                        };
                        self.file(place, &dir, Some(this), read)?
                    }
                };
                module.children.insert(name, child);
            } else {
                module.items.extend(name_of(item));
                References { module: &mut module }.visit_item(item);
            }
        }
        if let Some(slot) = self.modules.get_mut(this) {
            *slot = module;
        }
        Ok(this)
    }
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Whether one of these attributes says that what follows is compiled for tests only.
fn are_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.path().is_ident("cfg").then(|| attribute.meta.require_list());
        condition.and_then(Result::ok).is_some_and(|condition| wants_tests(condition.tokens.clone()))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether a condition of `cfg` mentions tests other than to exclude them.
fn wants_tests(condition: TokenStream) -> bool {
    let mut tokens = condition.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(name) if name == "not" => drop(tokens.next()),
            TokenTree::Ident(name) if name == "test" => return true,
            TokenTree::Literal(feature) if feature.to_string() == TESTING => return true,
            TokenTree::Group(inner) if wants_tests(inner.stream()) => return true,
            _ => {}
        }
    }
    false
}

/// Collects what the code of one module refers to.
struct References<'a> {
    module: &'a mut Module,
}

impl References<'_> {
    fn import(&mut self, tree: &UseTree, before: &[String], reexport: bool) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        let (name, path) = match tree {
            UseTree::Path(tree) => return self.import(&tree.tree, &with(tree.ident.to_string()), reexport),
            UseTree::Group(tree) => {
                return tree.items.iter().for_each(|tree| self.import(tree, before, reexport));
            }
            UseTree::Glob(_) => (None, before.to_vec()),
            UseTree::Name(tree) if tree.ident == "self" => (before.last().cloned(), before.to_vec()),
            UseTree::Name(tree) => (Some(tree.ident.to_string()), with(tree.ident.to_string())),
            UseTree::Rename(tree) if tree.ident == "self" => (Some(tree.rename.to_string()), before.to_vec()),
            UseTree::Rename(tree) => (Some(tree.rename.to_string()), with(tree.ident.to_string())),
        };
        self.module.imports.push(Import { name, path, reexport });
    }

    fn path(&mut self, segments: Vec<String>) {
        // A single name is known by its import, or concerns no module.
        if segments.len() > 1 {
            self.module.paths.push(segments);
        }
    }

    /// The paths in a macro's tokens, which are not parsed: names joined by `::`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.path(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons = if mark.spacing() == Spacing::Joint { 1 } else { colons + 1 };
                }
                other => {
                    self.path(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(inner) = other {
                        self.tokens(inner.stream());
                    }
                }
            }
        }
        self.path(path);
    }
}

impl<'ast> Visit<'ast> for References<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !are_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(item) => &item.attrs[..],
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !are_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
        let attributes = match statement {
            syn::Stmt::Local(statement) => &statement.attrs[..],
            syn::Stmt::Macro(statement) => &statement.attrs,
            syn::Stmt::Expr(Expr::Call(call), _) => &call.attrs,
            syn::Stmt::Expr(Expr::MethodCall(call), _) => &call.attrs,
            syn::Stmt::Expr(Expr::Block(block), _) => &block.attrs,
            _ => &[],
        };
        if !are_for_tests(attributes) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !are_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.tokens(call.tokens.clone());
    }

    /// `pub(super)` says who may use a thing, not what it uses.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    /// Attributes name derives and settings of other crates.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
