//! Text form of an audit report.

use std::fmt;

use super::report::{Audit, Estimate, GradientVerdict, OpAudit, ParameterAudit, SilentUnits};

/// Returns a number with a noun, such as `3 ops`.
fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

impl ParameterAudit {
    /// Returns the verdict in one or two words; empty if the gradient agrees.
    fn word(&self) -> &'static str {
        match self.verdict {
            GradientVerdict::Agrees => "",
            GradientVerdict::Disagrees => "WRONG",
            GradientVerdict::Kink => "at a kink",
            GradientVerdict::Estimated => "estimated",
            // The notes already say `not finite`.
            GradientVerdict::Unknown if !self.gradient_norm.is_finite() => "",
            GradientVerdict::Unknown => "not measurable",
        }
    }
}

/// Words that the report's table uses, each with an explanation and advice.
const EXPLANATIONS: [(&str, &str); 8] = [
    (
        "at a kink",
        "an op before the loss is at a kink or jumps, as a ReLU of exactly 0 or the argmax of two equal values",
    ),
    ("estimated", "not compared: an op before the loss has an estimated gradient"),
    (
        "not measurable",
        "differences of the loss are not finite or not steady: check its size, and the values that it is computed from",
    ),
    ("not finite", "the gradient has an infinity or NaN, computed by the node above"),
    (
        "dead",
        "every element of the gradient is 0 in this batch: that of a bias because a batch norm subtracts it again (remove the bias), others behind units that are 0 or multiplied by 0 (try another init or learning rate, or a leaky unit)",
    ),
    (
        "vanishing",
        "the gradient is below a millionth of the largest: normalise between layers, or add residual connections",
    ),
    (
        "exploding",
        "the norm of the gradient is above 1000: try a smaller init, normalised inputs, or clipping (`clip_grad_norm`)",
    ),
    (
        "large update",
        "the step changes the parameter by more than a tenth of its norm: try a smaller learning rate, or warm-up",
    ),
];

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.findings(f)?;
        self.table(f)?;
        for SilentUnits { name, site, units, of } in &self.silent {
            write!(
                f,
                "\n{units} of {of} units of {name} are 0 for the whole batch and get no gradient\n    at {site}"
            )?;
        }
        if !self.without_gradient.is_empty() {
            write!(
                f,
                "\nno gradient reaches: {}\n    fix: use them to compute the loss, not behind `detach`, or freeze them: \
                 `params.at(\"NAME\").set_trainable(false)`",
                self.without_gradient.join(", ")
            )?;
        }
        Ok(())
    }
}

impl Audit {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is =
            |verdict: GradientVerdict| self.parameters.iter().filter(|parameter| parameter.verdict == verdict).count();
        let all = self.parameters.len();
        if !self.passes() && self.ops.is_empty() && is(GradientVerdict::Disagrees) == 0 {
            f.write_str("not finite: ")?;
        }
        match (is(GradientVerdict::Disagrees), self.ops.len()) {
            (0, 0) => {
                let compared = all - is(GradientVerdict::Estimated) - is(GradientVerdict::Unknown);
                let ops = self.checked - self.unknown;
                let (parameters, ops) = (count(all, "parameter"), count(ops, "op"));
                let parameters = if compared < all { format!("{compared} of {parameters}") } else { parameters };
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
                    format!("`{name}` returns no gradient for its input {input}"),
                    "call `.detach()` on what should be a constant",
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
                    "\n  the gradient of `{name}` is wrong, but no single op's rule is: {claimed:.6e}, by finite differences \
                     {measured:.6e}\n    at {site}"
                )?;
            }
        }
        if let Some(non_finite) = &self.non_finite {
            write!(f, "\n  the first value that is not finite: {non_finite}")?;
        }
        let mut listed: Vec<String> = vec![];
        for Estimate { name, site } in &self.estimated {
            let line =
                format!("\n  the gradient of `{name}` is an estimate by design, and is not compared\n    at {site}");
            if !listed.contains(&line) {
                f.write_str(&line)?;
                listed.push(line);
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
        for (word, meaning) in EXPLANATIONS.iter().filter(|(word, _)| used.contains(word)) {
            write!(f, "\n{word}: {meaning}")?;
        }
        Ok(())
    }
}
