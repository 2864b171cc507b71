//! WGSL templates: valid shaders that an op specialises to generate a kernel.
//!
//! WGSL `override` constants cannot change types, omit bindings or unroll loops, and naga's back ends do not ask
//! the driver to unroll. In a template, only the following parts can be changed:
//!
//! | in the shader | method | effect |
//! |---|---|---|
//! | `const NAME = 4u;` | [`set`](Template::set) | replaces the literal but keeps its suffix |
//! | `…; // if flag` | [`flag`](Template::flag) | omits the line if the flag is off |
//! | `for (var i = 0u; i < NAME; i++) { // unroll` | none | unrolls the loop, also a nested one |
//! | `… { // unroll flag` | [`flag`](Template::flag) | unrolls the loop if the flag is on |
//! | `sum_i0_j0` | [`repeat`](Template::repeat) | writes the line once for `i0`, `i1`, … |
//! | `@workgroup_size(64)` | [`workgroup`](Template::workgroup) | replaces the workgroup size |
//! | `operand_edge` | [`replace`](Template::replace) | replaces this text |
//!
//! Everything that is set, repeated or replaced and every flag must occur in the template, and every flag in the
//! template must be turned on or off. A comment after code that is none of these marks is reported as an error, so
//! that a misspelt mark is not overlooked.

use std::fmt::{self, Display};

/// Shader template with the changes to apply.
#[derive(Debug)]
pub(crate) struct Template<'a> {
    name: &'a str,
    source: String,
    constants: Vec<(&'a str, String)>,
    flags: Vec<(&'a str, bool)>,
    repeats: Vec<(&'a str, usize)>,
    replacements: Vec<(String, String)>,
}

/// Error: a template is malformed, or a change does not fit it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    template: String,
    what: String,
}

impl Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the template {}: {}", self.template, self.what)
    }
}

/// Mark in a comment after the code of a line: `// if flag`, `// unroll` or `// unroll flag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark<'a> {
    If(&'a str),
    Unroll(Option<&'a str>),
}

impl<'a> Mark<'a> {
    /// Returns the mark of a line, or an error if the comment after the code is not a mark.
    fn of(line: &'a str) -> Result<Option<Self>, String> {
        let Some((code, comment)) = line.split_once("// ") else { return Ok(None) };
        if code.trim().is_empty() {
            return Ok(None);
        }
        match comment.split(' ').collect::<Vec<_>>()[..] {
            ["if", flag] => Ok(Some(Self::If(flag))),
            ["unroll"] => Ok(Some(Self::Unroll(None))),
            ["unroll", flag] => Ok(Some(Self::Unroll(Some(flag)))),
            _ => Err(format!("`// {comment}` behind code is no mark: {}", line.trim())),
        }
    }
}

/// First line of a loop: `for (var name = 0u; name < bound; name++) {`.
struct Head<'a> {
    name: &'a str,
    /// The suffix of the counter's literals: `u` or `i`. For `0` without a suffix, it is `i`.
    suffix: &'a str,
    bound: &'a str,
}

impl<'a> Head<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let head = line.trim_start().strip_prefix("for (var ")?.split_once(") {")?.0;
        let [start, condition, step] = head.split("; ").collect::<Vec<_>>()[..] else { return None };
        let (name, zero) = start.split_once(" = ")?;
        let bound = condition.strip_prefix(name)?.strip_prefix(" < ")?;
        let suffix = zero.strip_prefix('0').filter(|suffix| matches!(*suffix, "" | "i" | "u"))?;
        (step.strip_suffix("++") == Some(name)).then_some(Self {
            name,
            suffix: if suffix == "u" { "u" } else { "i" },
            bound,
        })
    }
}

/// Returns the literal if the line is `const NAME = literal;` for the constant `name`.
fn literal<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.strip_prefix("const ")?.strip_prefix(name)?.strip_prefix(" = ")?.strip_suffix(';')
}

/// Returns the suffix of an integer literal: `i`, `u` or empty. `None` if the literal is not an integer.
fn suffix(literal: &str) -> Option<&str> {
    let digits = literal.trim_end_matches(['i', 'u']);
    digits.parse::<i64>().ok().map(|_| &literal[digits.len()..])
}

impl<'a> Template<'a> {
    /// Creates a template from shader sources, which are joined. Errors print `name`.
    pub(crate) fn new(name: &'a str, parts: &[&str]) -> Self {
        let source = parts.iter().map(|part| part.strip_suffix('\n').unwrap_or(part)).collect::<Vec<_>>().join("\n");
        Self { name, source, constants: vec![], flags: vec![], repeats: vec![], replacements: vec![] }
    }

    /// Sets the value of a constant.
    pub(crate) fn set(mut self, name: &'a str, value: impl Display) -> Self {
        self.constants.push((name, value.to_string()));
        self
    }

    /// Sets the values of several constants.
    pub(crate) fn set_all<V: Display>(self, constants: &[(&'a str, V)]) -> Self {
        constants.iter().fold(self, |template, (name, value)| template.set(name, value))
    }

    /// Turns a flag on or off, for the lines marked with it.
    pub(crate) fn flag(mut self, name: &'a str, on: bool) -> Self {
        self.flags.push((name, on));
        self
    }

    /// Writes each line that contains `counter`, such as `i0` in `sum_i0`, `times` times, with `i0`, `i1` and so
    /// on.
    pub(crate) fn repeat(mut self, counter: &'a str, times: usize) -> Self {
        self.repeats.push((counter, times));
        self
    }

    /// Replaces all occurrences of a text.
    pub(crate) fn replace(mut self, text: impl Into<String>, by: impl Into<String>) -> Self {
        self.replacements.push((text.into(), by.into()));
        self
    }

    /// Sets the number of threads per workgroup. The template must have exactly one entry point.
    pub(crate) fn workgroup(self, threads: usize) -> Self {
        let written = self.source.split_once("@workgroup_size(").and_then(|(_, rest)| rest.split_once(')'));
        let written = written.map_or_else(String::new, |(size, _)| size.to_owned());
        self.replace(format!("@workgroup_size({written})"), format!("@workgroup_size({threads})"))
    }

    /// Returns the kernel's source.
    ///
    /// # Panics
    /// When the template is malformed or a change does not fit it. This is a bug in an op, which every launch
    /// would reveal.
    pub(crate) fn write(&self) -> String {
        self.try_write().unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_write(&self) -> Result<String, Malformed> {
        self.written().map_err(|what| Malformed { template: self.name.into(), what })
    }

    fn written(&self) -> Result<String, String> {
        let mut lines: Vec<String> = vec![];
        let mut used = vec![];
        for line in self.source.lines() {
            let mark = Mark::of(line)?;
            if let Some(Mark::If(flag) | Mark::Unroll(Some(flag))) = mark {
                used.push(flag);
            }
            if !matches!(mark, Some(Mark::If(flag)) if !self.on(flag)?) {
                lines.push(line.into());
            }
        }
        if let Some((flag, _)) = self.flags.iter().find(|(flag, _)| !used.contains(flag)) {
            return Err(format!("no line is marked with the flag {flag}"));
        }
        for (name, value) in &self.constants {
            let mut found = lines.iter_mut().filter(|line| literal(line, name).is_some());
            let line = found.next().ok_or_else(|| format!("there is no constant {name}"))?;
            *line = format!("const {name} = {};", replaced(literal(line, name).unwrap_or_default(), value)?);
            if found.next().is_some() {
                return Err(format!("the constant {name} is there twice"));
            }
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut out = vec![];
        self.unrolled(&lines, &lines, &mut out)?;
        for (counter, times) in &self.repeats {
            out = repeated(&out, counter, *times)?;
        }
        self.replacements.iter().try_fold(out.join("\n"), |source, (text, by)| {
            let there = source.contains(text);
            there.then(|| source.replace(text, by)).ok_or_else(|| format!("there is no `{text}` to replace"))
        })
    }

    fn on(&self, flag: &str) -> Result<bool, String> {
        let given = self.flags.iter().find(|(name, _)| *name == flag);
        given.map(|(_, on)| *on).ok_or_else(|| format!("the flag {flag} is not given"))
    }

    /// Adds `lines` to `out` with the marked loops unrolled. `all` are all lines of the template, among them the
    /// constants that bound the loops.
    fn unrolled(&self, lines: &[&str], all: &[&str], out: &mut Vec<String>) -> Result<(), String> {
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at];
            at += 1;
            let unrolls = match Mark::of(line)? {
                Some(Mark::Unroll(Some(flag))) => self.on(flag)?,
                mark => mark == Some(Mark::Unroll(None)),
            };
            if !unrolls {
                out.push(line.into());
                continue;
            }
            let fault = |what: &str| format!("{what}: {}", line.trim());
            let Head { name, suffix, bound } =
                Head::of(line).ok_or_else(|| fault("not `for (var i = 0; i < NAME; i++) {`"))?;
            let bound =
                all.iter().find_map(|line| literal(line, bound)).map(|bound| bound.trim_end_matches(['i', 'u']));
            let times: usize =
                bound.and_then(|bound| bound.parse().ok()).ok_or_else(|| fault("the bound is no constant"))?;
            let indent = &line[..line.len() - line.trim_start().len()];
            let close = format!("{indent}}}");
            let length =
                lines[at..].iter().position(|line| *line == close).ok_or_else(|| fault("the loop has no end"))?;
            for time in 0..times {
                out.push(format!("{indent}{{"));
                out.push(format!("{indent}    const {name} = {time}{suffix};"));
                self.unrolled(&lines[at..at + length], all, out)?;
                out.push(close.clone());
            }
            at += length + 1;
        }
        Ok(())
    }
}

/// Returns `value` as a literal of the same type as `literal`.
fn replaced(literal: &str, value: &str) -> Result<String, String> {
    let flag = |text: &str| matches!(text, "true" | "false");
    match (suffix(literal), value.parse::<i64>()) {
        (Some(suffix), Ok(_)) => Ok(format!("{value}{suffix}")),
        (None, _) if flag(literal) && flag(value) => Ok(value.into()),
        _ => Err(format!("{value} cannot replace {literal}")),
    }
}

/// Returns the lines, in which each line that contains `counter`, such as `i0`, is repeated `times` times with
/// `i0`, `i1`, ….
fn repeated(lines: &[String], counter: &str, times: usize) -> Result<Vec<String>, String> {
    let letter = counter.trim_end_matches('0');
    let mut out = vec![];
    let mut found = false;
    for line in lines {
        let numbered = |number: usize| {
            let parts = line.split(counter).collect::<Vec<_>>();
            parts.join(&format!("{letter}{number}"))
        };
        if line.trim_start().starts_with("//") || !names(line, counter) {
            out.push(line.clone());
        } else {
            found = true;
            out.extend((0..times).map(numbered));
        }
    }
    if found { Ok(out) } else { Err(format!("no line names {counter}")) }
}

/// Returns whether `counter` occurs in the line as an identifier, or as a part of an identifier that is delimited
/// by underscores.
fn names(line: &str, counter: &str) -> bool {
    line.match_indices(counter).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + counter.len()..].chars().next());
        [before, after].into_iter().flatten().all(|c| !c.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &str = "const A = 1i;\nconst B = 9i;\nfor (var i = 0; i < A; i++) { // unroll\n    for (var j = 0; j < B; \
                          j++) { // unroll\n        f(i, j); // if on\n    }\n}\nend";

    fn fault(source: &str, ask: impl Fn(Template) -> Template) -> String {
        ask(Template::new("t.wgsl", &[source])).try_write().expect_err("malformed").to_string()
    }

    #[test]
    fn loops_are_unrolled_and_lines_left_out() {
        let made = Template::new("nested", &[NESTED]).flag("on", true).set("A", 2).set("B", 1).write();
        assert_eq!(
            made,
            "const A = 2i;\nconst B = 1i;\n{\n    const i = 0i;\n    {\n        const j = 0i;\n        f(i, j); // if on\n    \
             }\n}\n{\n    const i = 1i;\n    {\n        const j = 0i;\n        f(i, j); // if on\n    }\n}\nend"
        );
        assert!(!Template::new("nested", &[NESTED]).flag("on", false).write().contains("f(i, j)"));
    }

    #[test]
    fn lines_are_repeated_and_texts_replaced() {
        let source = "const i0 = 0u;\n// of i0\nlet hi00 = 1;\n@workgroup_size(64)\nlet s_i0_j0 = a_i0 + b_j0;";
        let made = Template::new("t", &[source]).repeat("i0", 2).repeat("j0", 1).workgroup(8).replace("let", "var");
        assert_eq!(
            made.write(),
            "const i0 = 0u;\nconst i1 = 0u;\n// of i0\nvar hi00 = 1;\n@workgroup_size(8)\nvar s_i0_j0 = a_i0 + b_j0;\nvar \
             s_i1_j0 = a_i1 + b_j0;"
        );
        let source = "const A = 2u;\nfor (var i = 0u; i < A; i++) { // unroll rows\n    f(i);\n}";
        assert!(Template::new("t", &[source]).flag("rows", false).write().contains("for (var i"));
        assert!(Template::new("t", &[source]).flag("rows", true).write().contains("const i = 1u;"));
    }

    #[test]
    fn mistakes_are_named() {
        let faults = [
            (fault("a(); // iff on", |t| t), "`// iff on` behind code is no mark: a(); // iff on"),
            (fault("a(); // if on", |t| t), "the flag on is not given"),
            (fault("a();", |t| t.flag("on", true)), "no line is marked with the flag on"),
            (fault("const A = 1;", |t| t.set("B", 1)), "there is no constant B"),
            (fault("const A = 1;\nconst A = 1;", |t| t.set("A", 1)), "the constant A is there twice"),
            (fault("const A = true;", |t| t.set("A", 1)), "1 cannot replace true"),
            (fault("for (var i = 1; i < A; i++) { // unroll", |t| t), "not `for (var i = 0; i < NAME; i++) {`: "),
            (fault("for (var i = 0; i < A; i++) { // unroll", |t| t), "the bound is no constant: "),
            (fault("const A = 1;\nfor (var i = 0; i < A; i++) { // unroll\n  }", |t| t), "the loop has no end: "),
            (fault("a();", |t| t.repeat("i0", 2)), "no line names i0"),
            (fault("a();", |t| t.workgroup(2)), "there is no `@workgroup_size()` to replace"),
        ];
        for (fault, what) in faults {
            assert!(fault.starts_with(&format!("the template t.wgsl: {what}")), "{fault}");
        }
    }

    /// This test checks every mark of every shader file, with all flags turned on and with all flags turned off.
    /// Other tests check the templates with the flags that ops set.
    #[test]
    fn every_mark_of_every_shader_is_read() {
        let mut flags = std::collections::BTreeSet::new();
        for (name, source) in wgrad_shaders::FILES {
            let marks = source.lines().map(|line| Mark::of(line).unwrap_or_else(|fault| panic!("{name}: {fault}")));
            let own: std::collections::BTreeSet<_> = marks
                .filter_map(|mark| match mark? {
                    Mark::If(flag) | Mark::Unroll(Some(flag)) => Some(flag),
                    Mark::Unroll(None) => None,
                })
                .collect();
            for on in [false, true] {
                let template =
                    own.iter().fold(Template::new(name, &[source]), |template, flag| template.flag(flag, on));
                let made = template.try_write().unwrap_or_else(|error| panic!("{error}"));
                assert!(!on || !made.contains("// unroll"), "{name} keeps a loop");
            }
            flags.extend(own);
        }
        assert_eq!(flags.into_iter().collect::<Vec<_>>(), ["biased", "rows", "sparse"]);
    }
}
