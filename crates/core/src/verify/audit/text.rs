//! What an audit says.

use std::fmt;

use super::report::{Audit, Estimate, OpAudit, ParameterAudit, Silent, Verdict};

/// So many of a thing.
fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

impl ParameterAudit {
    /// The verdict in a word or two; nothing if all is well.
    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Agrees => "",
            Verdict::Disagrees => "WRONG",
            Verdict::Kink => "at a kink",
            Verdict::Estimated => "estimated",
            // Then the notes say it.
            Verdict::Unknown if !self.gradient_norm.is_finite() => "",
            Verdict::Unknown => "not measurable",
        }
    }
}

/// What words of the table mean, and what to do.
const WORDS: [(&str, &str); 8] = [
    ("at a kink", "an op on the way is at a kink or jumps, as a ReLU of exactly 0 or an index of two that are equal"),
    ("estimated", "not compared: an estimated gradient is on the way to the loss"),
    (
        "not measurable",
        "differences of the loss are not finite or not steady: look at its size, and at the values it is made of",
    ),
    ("not finite", "the gradient has an infinity or NaN: the node above makes it"),
    (
        "dead",
        "every element of the gradient is 0 in this batch: of a bias because a batch norm takes it out again (leave it out), else behind units that are 0, or times 0: another init or learning rate, or a leaky unit",
    ),
    (
        "vanishing",
        "the gradient is below a millionth of the largest: normalise between layers, or pass them by (residuals)",
    ),
    (
        "exploding",
        "the norm of the gradient is above 1000: a smaller init, inputs of size 1, clipping (`clip_grad_norm`)",
    ),
    (
        "large update",
        "the step changes the parameter by more than a tenth of its norm: a smaller learning rate, or warm-up",
    ),
];

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.findings(f)?;
        self.table(f)?;
        for Silent { name, site, units, of } in &self.silent {
            write!(
                f,
                "\n{units} of {of} units of {name} are 0 for the whole batch, and learn nothing from it\n    at {site}"
            )?;
        }
        if !self.without_gradient.is_empty() {
            write!(
                f,
                "\nno gradient reaches: {}\n    fix: use them on the way to the loss, not behind `detach`, or freeze them: \
                 `params.at(\"NAME\").set_trainable(false)`",
                self.without_gradient.join(", ")
            )?;
        }
        Ok(())
    }
}

impl Audit {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = |verdict: Verdict| self.parameters.iter().filter(|parameter| parameter.verdict == verdict).count();
        let all = self.parameters.len();
        if !self.passes() && self.ops.is_empty() && is(Verdict::Disagrees) == 0 {
            f.write_str("not finite: ")?;
        }
        match (is(Verdict::Disagrees), self.ops.len()) {
            (0, 0) => {
                let judged = all - is(Verdict::Estimated) - is(Verdict::Unknown);
                let ops = self.checked - self.unknown;
                let (parameters, ops) = (count(all, "parameter"), count(ops, "op"));
                let parameters = if judged < all { format!("{judged} of {parameters}") } else { parameters };
                write!(f, "gradients of {parameters} and {ops} agree with finite differences")?;
            }
            (0, wrong) => write!(f, "wrong: gradient rules of {wrong} of {}", count(self.checked, "op"))?,
            (wrong, _) => write!(f, "wrong: gradients of {wrong} of {}", count(all, "parameter"))?,
        }
        write!(f, "; the loss is {:.6}", self.loss)?;
        for (ops, what) in [(self.kinks, "at a kink"), (self.unknown, "not measurable")] {
            if ops > 0 {
                write!(f, "; {} {} {what}", count(ops, "op"), if ops == 1 { "is" } else { "are" })?;
            }
        }
        Ok(())
    }

    fn findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for OpAudit { name, site, input, missing, claimed, measured } in &self.ops {
            let (what, fix) = if *missing {
                (
                    format!("`{name}` gives its input {input} no gradient"),
                    "`.detach()` what it should take as a constant",
                )
            } else {
                (
                    format!("the gradient rule of `{name}` is wrong for its input {input}"),
                    "correct the rule (`backward`); if it is an estimate on purpose, declare the op `estimated`",
                )
            };
            write!(
                f,
                "\n  {what}: {claimed:.6e}, by finite differences {measured:.6e}\n    at {site}\n    fix: {fix}"
            )?;
        }
        if self.ops.is_empty() {
            for ParameterAudit { name, site, claimed, measured, .. } in self.wrong() {
                write!(
                    f,
                    "\n  the gradient of `{name}` is wrong, and the rule of no single op: {claimed:.6e}, by finite differences \
                     {measured:.6e}\n    at {site}"
                )?;
            }
        }
        if let Some(non_finite) = &self.non_finite {
            write!(f, "\n  the first value that is not finite: {non_finite}")?;
        }
        let mut told: Vec<String> = vec![];
        for Estimate { name, site } in &self.estimated {
            let line =
                format!("\n  the gradient of `{name}` is an estimate by design, and is not compared\n    at {site}");
            if !told.contains(&line) {
                f.write_str(&line)?;
                told.push(line);
            }
        }
        Ok(())
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&ParameterAudit) -> usize| self.parameters.iter().map(of).max().unwrap_or(0).max(9);
        let (names, specs) = (width(|parameter| parameter.name.len()), width(|parameter| parameter.spec.len()));
        write!(
            f,
            "\n{:<names$}  {:<specs$}  {:>9}  {:>9}  {:>6}  {:>9}",
            "parameter", "shape", "norm", "gradient", "zeros", "update"
        )?;
        let mut used = vec![];
        for parameter in &self.parameters {
            let ParameterAudit { name, spec, norm, gradient_norm, zeros, update, .. } = parameter;
            let update = update.map_or_else(
                || "-".to_string(),
                |update| if update.is_finite() { format!("{update:.2e}") } else { "from 0".to_string() },
            );
            let words = std::iter::once(parameter.word()).chain(self.notes(parameter));
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            let line = format!(
                "{name:<names$}  {spec:<specs$}  {norm:>9.2e}  {gradient_norm:>9.2e}  {:>5.1}%  {update:>9}  {}",
                100.0 * zeros,
                words.join(", ")
            );
            write!(f, "\n{}", line.trim_end())?;
            used.extend(words);
        }
        for (word, meaning) in WORDS.iter().filter(|(word, _)| used.contains(word)) {
            write!(f, "\n{word}: {meaning}")?;
        }
        Ok(())
    }
}
