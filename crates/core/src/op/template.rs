//! WGSL templates: valid as they stand; specialised by constants, by lines left out and by loops written out.

use std::fmt::Display;

/// The lines of `source` without those marked `// if <flag>`, unless `keep`.
pub(crate) fn only_if(source: &str, flag: &str, keep: bool) -> String {
    let mark = format!("// if {flag}");
    source.lines().filter(|line| keep || !line.ends_with(&mark)).collect::<Vec<_>>().join("\n")
}

/// The lines of `source` with the constants `const NAME = …` set: a number keeps the type of the one that stands there.
///
/// # Panics
/// When the template lacks one of them.
pub(crate) fn set<V: Display>(source: &str, constants: &[(&str, V)]) -> String {
    let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
    for (name, value) in constants {
        let start = format!("const {name} = ");
        let line = lines.iter_mut().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("the template has no constant {name}"));
        *line = format!("{start}{value}{};", suffix(line[start.len()..].trim_end_matches(';')));
    }
    lines.join("\n")
}

/// The letter that types a literal: `i` or `u`, or none.
fn suffix(literal: &str) -> &str {
    let number = literal.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
    if number && literal.ends_with(['i', 'u']) { &literal[literal.len() - 1..] } else { "" }
}

/// The lines of `source` with every loop `for (var name = 0u; name < BOUND; …) { // unroll` written out, also nested
/// ones: no back end of naga's asks a driver to unroll. `BOUND` is one of the constants; an untyped 0 counts as `0i`.
pub(crate) fn unroll(source: &str) -> String {
    let bound = |name: &str| {
        let start = format!("const {name} = ");
        let line = source.lines().find(|line| line.starts_with(&start)).expect("the bound is a constant");
        line[start.len()..].trim_end_matches(['i', 'u', ';']).parse::<usize>().expect("the bound is a number")
    };
    let mut out = vec![];
    write_out(&source.lines().collect::<Vec<_>>(), &bound, &mut out);
    out.join("\n")
}

fn write_out(lines: &[&str], bound: &impl Fn(&str) -> usize, out: &mut Vec<String>) {
    let Some(start) = lines.iter().position(|line| line.ends_with("{ // unroll")) else {
        return out.extend(lines.iter().map(ToString::to_string));
    };
    let words: Vec<_> = lines[start].split_whitespace().collect();
    let (name, times) = (words[2], bound(words[7].trim_end_matches(';')));
    let typed = Some(suffix(words[4].trim_end_matches(';'))).filter(|typed| !typed.is_empty()).unwrap_or("i");
    let indent = &lines[start][..lines[start].len() - lines[start].trim_start().len()];
    let close = format!("{indent}}}");
    let end = start + lines[start..].iter().position(|line| *line == close).expect("the loop is closed");
    out.extend(lines[..start].iter().map(ToString::to_string));
    for time in 0..times {
        out.push(format!("{indent}{{"));
        out.push(format!("{indent}    const {name} = {time}{typed};"));
        write_out(&lines[start + 1..end], bound, out);
        out.push(close.clone());
    }
    write_out(&lines[end + 1..], bound, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_written_out_and_lines_left_out() {
        let source = "const A = 1i;\nconst B = 9i;\nfor (var i = 0; i < A; i++) { // unroll\n    for (var j = 0; j < B; j++) { // \
                      unroll\n        f(i, j); // if on\n    }\n}\nend";
        let made = unroll(&set(&only_if(source, "on", true), &[("A", 2), ("B", 1)]));
        assert_eq!(
            made,
            "const A = 2i;\nconst B = 1i;\n{\n    const i = 0i;\n    {\n        const j = 0i;\n        f(i, j); // if on\n    \
             }\n}\n{\n    const i = 1i;\n    {\n        const j = 0i;\n        f(i, j); // if on\n    }\n}\nend"
        );
        assert!(!only_if(source, "on", false).contains("f(i, j)"));
    }
}
