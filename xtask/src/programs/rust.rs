//! The programs that Rust sources start: what is given where a command is created.
//!
//! A name may be a literal, a constant, or a parameter of a nearby function, whose callers are then read. Any other
//! variable is reported, so that nothing unreviewed is started; a field or a call gives a path that we made.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Expr, FnArg, Lit, Pat};

/// The types whose `new` takes a program.
const COMMANDS: [&str; 3] = ["Cmd", "Command", "Program"];

type Arguments = syn::punctuated::Punctuated<Expr, syn::Token![,]>;

/// What one file starts.
#[derive(Debug, Default)]
pub struct File {
    /// Programs by name.
    pub programs: BTreeSet<String>,
    /// Variables that a program's name is taken from.
    pub variables: BTreeSet<String>,
    /// Constants and the texts in them.
    pub constants: BTreeMap<String, Vec<String>>,
    /// Functions that start what one of their parameters names, and which one that is.
    functions: BTreeMap<String, usize>,
    /// Texts in calls: the function, the place of the argument, the text.
    texts: Vec<(String, usize, String)>,
    /// The parameters of the functions that are being read.
    parameters: Vec<(String, Vec<String>)>,
    /// `Command` is the one of the command line's parser.
    parses_arguments: bool,
}

impl File {
    /// Reads a file.
    pub fn read(text: &str) -> syn::Result<Self> {
        let mut file = Self::default();
        let syntax = syn::parse_file(text)?;
        // Constants may be below their use.
        Constants(&mut file.constants).visit_file(&syntax);
        file.visit_file(&syntax);
        Ok(file)
    }

    /// The programs that this file gives to functions of its own or of its neighbours.
    pub fn through_functions(&self, neighbours: &[&Self]) -> BTreeSet<String> {
        let starts = |(function, at, _): &&(String, usize, String)| {
            neighbours.iter().any(|file| file.functions.get(function) == Some(at))
        };
        self.texts.iter().filter(starts).map(|(.., text)| text.clone()).collect()
    }

    fn start(&mut self, program: &Expr) {
        match program {
            Expr::Reference(inner) => self.start(&inner.expr),
            Expr::Lit(literal) => self.programs.extend(text(&literal.lit)),
            Expr::Path(path) => {
                let Some(name) = path.path.get_ident().map(ToString::to_string) else { return };
                if let Some(texts) = self.constants.get(&name) {
                    self.programs.extend(texts.iter().cloned());
                } else if let Some((function, at)) = self.parameter(&name) {
                    self.functions.insert(function, at);
                } else {
                    self.variables.insert(name);
                }
            }
            _ => {}
        }
    }

    fn parameter(&self, name: &str) -> Option<(String, usize)> {
        let (function, parameters) = self.parameters.last()?;
        Some((function.clone(), parameters.iter().position(|parameter| parameter == name)?))
    }

    fn call(&mut self, function: &str, arguments: &Arguments) {
        for (at, argument) in arguments.iter().enumerate() {
            if let Expr::Lit(literal) = argument {
                self.texts.extend(text(&literal.lit).map(|text| (function.to_owned(), at, text)));
            }
        }
    }

    fn inside(&mut self, signature: &syn::Signature, read: impl FnOnce(&mut Self)) {
        let names = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(match &*typed.pat {
                Pat::Ident(pattern) => pattern.ident.to_string(),
                _ => String::new(),
            }),
            FnArg::Receiver(_) => None,
        });
        self.parameters.push((signature.ident.to_string(), names.collect()));
        read(self);
        self.parameters.pop();
    }
}

fn text(literal: &Lit) -> Option<String> {
    match literal {
        Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for File {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.inside(&function.sig, |file| visit::visit_item_fn(file, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.inside(&function.sig, |file| visit::visit_impl_item_fn(file, function));
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut names = Names::default();
        names.visit_item_use(item);
        self.parses_arguments |= ["clap", "Command"].iter().all(|name| names.0.contains(*name));
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let mut last = path.path.segments.iter().rev().map(|segment| segment.ident.to_string());
            let (function, of) = (last.next().unwrap_or_default(), last.next().unwrap_or_default());
            let is_command = function == "new" && COMMANDS.contains(&of.as_str());
            match call.args.first() {
                Some(program) if is_command && !(of == "Command" && self.parses_arguments) => {
                    self.start(program)
                }
                _ => self.call(&function, &call.args),
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.call(&call.method.to_string(), &call.args);
        visit::visit_expr_method_call(self, call);
    }

    /// `assert!(…)` and its like have expressions for arguments; other macros are no calls.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Ok(arguments) = call.parse_body_with(Arguments::parse_terminated) {
            arguments.iter().for_each(|argument| self.visit_expr(argument));
        }
    }
}

/// The names in a `use` declaration.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_ident(&mut self, name: &'ast syn::Ident) {
        self.0.insert(name.to_string());
    }
}

struct Constants<'a>(&'a mut BTreeMap<String, Vec<String>>);

impl<'ast> Visit<'ast> for Constants<'_> {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        let mut texts = Texts::default();
        texts.visit_expr(&item.expr);
        self.0.insert(item.ident.to_string(), texts.0);
    }
}

#[derive(Default)]
struct Texts(Vec<String>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_lit(&mut self, literal: &'ast Lit) {
        self.0.extend(text(literal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_a_literal_a_constant_or_what_callers_give() {
        let first = File::read(
            "const TOOL: &str = \"b\";
             fn f(glue: &str) { Cmd::new(\"a\").arg(\"no\"); assert!(exec::Program::new(TOOL).run(), \"no\"); for x in y { Cmd::new(x); } }
             impl N { fn program(&self, how: u8, name: &'static str) { Program::new(name); } }",
        )
        .unwrap();
        let second =
            File::read("fn g() { n.program(1, \"c\"); n.program(\"no\", x); n.other(1, \"no\"); }").unwrap();
        assert_eq!(first.programs.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(first.variables.iter().collect::<Vec<_>>(), ["x"]);
        assert_eq!(second.through_functions(&[&first, &second]).iter().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn the_command_line_of_our_own_program_starts_none() {
        let file = File::read("use clap::{Arg, Command}; fn f() { Command::new(\"no\"); }").unwrap();
        assert!(file.programs.is_empty());
    }
}
