//! Plots as SVG: a frame with two axes, and lines, dots, bars or cells inside it.

use std::fmt::Write;

/// Width of a plot in CSS pixels, small enough for a phone.
pub(super) const WIDTH: f64 = 400.0;
/// Height of a plot in CSS pixels.
pub(super) const HEIGHT: f64 = 300.0;
/// Edges of a plot's frame in CSS pixels: left, top, right and bottom.
pub(super) const FRAME: [f64; 4] = [70.0, 32.0, 390.0, 252.0];

/// Point of a plot, in the units of its axes or in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
}

impl From<(f64, f64)> for Point {
    fn from((x, y): (f64, f64)) -> Self {
        Self { x, y }
    }
}

/// Range of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub low: f64,
    pub high: f64,
}

impl Range {
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }
}

impl From<(f64, f64)> for Range {
    fn from((low, high): (f64, f64)) -> Self {
        Self { low, high }
    }
}

/// Cell of a matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub row: usize,
    pub column: usize,
}

/// Left edge of the frame in a plot that has the names of rows to the left of its frame.
const NAMED_LEFT: f64 = 158.0;
/// Largest number of letters in the name of a row.
const NAME_LETTERS: usize = 21;
/// Approximate width of a letter in CSS pixels.
const LETTER: f64 = 6.6;

/// Escapes text for HTML and SVG, in content and in attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Replaces control characters, which XML does not allow, and characters that change the direction of
            // text.
            c if (c.is_control() && !matches!(c, '\n' | '\t'))
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}') =>
            {
                escaped.push('\u{fffd}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Shortens a text to at most `letters` letters.
pub(super) fn shorten(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.into();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

/// Formats a number with four significant digits, without trailing zeros.
pub(super) fn short(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 {
        "0".into()
    } else if !x.is_finite() {
        "–".into()
    } else if !(1e-4..1e7).contains(&size) {
        format!("{x:.1e}")
    } else {
        let digits = (3.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
        let text = format!("{x:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
    }
}

/// Returns round numbers in a range, at which an axis has ticks: from two to about `most + 1` numbers.
pub(super) fn ticks(low: f64, high: f64, most: u32) -> Vec<f64> {
    let span = high - low;
    if !(span > 0.0 && span.is_finite()) {
        return vec![low];
    }
    let raw = span / f64::from(most.max(1));
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s >= raw * 0.999).unwrap_or(raw);
    let first = (low / step - 1e-9).ceil();
    (0..=most + 1).map(|i| (first + f64::from(i)) * step).filter(|t| *t <= high + span * 1e-9).collect()
}

/// Returns the range of some numbers, extended by 4 % at each end. Returns 0 to 1 if there are no numbers.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Range {
    let finite = values.filter(|x| x.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    if low > high {
        Range::new(0.0, 1.0)
    } else if low < high {
        Range::new(low - 0.04 * (high - low), high + 0.04 * (high - low))
    } else {
        let margin = if low == 0.0 { 1.0 } else { low.abs() * 0.5 };
        Range::new(low - margin, high + margin)
    }
}

/// Plot as SVG. Its style is not included; the page or the file adds it.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    /// Name of the plot's file without `.svg`, and prefix of ids in the page.
    pub id: &'static str,
    /// Title.
    pub title: String,
    /// Description for screen readers and captions.
    pub summary: String,
    body: String,
    x: Range,
    y: Range,
    legend: f64,
    frame: [f64; 4],
}

impl Figure {
    /// Creates an empty plot whose axes have these ranges and names.
    pub fn new(id: &'static str, title: &str, [x, y]: [impl Into<Range>; 2], [x_name, y_name]: [&str; 2]) -> Self {
        let (x, y) = (x.into(), y.into());
        let mut figure = Self::across(id, title, [x, y], FRAME, x_name);
        let [left, top, right, bottom] = FRAME;
        for tick in ticks(y.low, y.high, 5) {
            let at = figure.at(x.low, tick).y;
            let text = escape(&short(tick));
            figure.push(&format!("<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>"));
            figure.text("tick", (left - 6.0, at + 4.0), "end", &text);
        }
        let centre = f64::midpoint(top, bottom);
        figure.push(&format!(
            "<text transform=\"translate(14 {centre}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escape(y_name)
        ));
        figure
    }

    /// Creates an empty plot with named rows from top to bottom. Row `i` is at `y = i`.
    pub fn rows(id: &'static str, title: &str, x: Range, names: &[&str], x_name: &str) -> Self {
        let [_, top, right, bottom] = FRAME;
        let y = Range::new(names.len() as f64 - 0.5, -0.5);
        let mut figure = Self::across(id, title, [x, y], [NAMED_LEFT, top, right, bottom], x_name);
        for (row, name) in names.iter().enumerate() {
            let at = figure.at(x.low, row as f64).y;
            figure.text("tick", (NAMED_LEFT - 6.0, at + 4.0), "end", &escape(&shorten(name, NAME_LETTERS)));
        }
        figure
    }

    /// Creates an empty plot of a square matrix with named rows and columns.
    pub fn square(id: &'static str, title: &str, names: &[String], [x_name, y_name]: [&str; 2]) -> Self {
        let [_, top, right, bottom] = FRAME;
        let range = Range::new(-0.5, names.len() as f64 - 0.5);
        let (summary, body, frame) = (String::new(), String::new(), [NAMED_LEFT, top, right, bottom]);
        let (x, y) = (range, Range::new(range.high, range.low));
        let mut figure = Self { id, title: title.into(), summary, body, x, y, legend: NAMED_LEFT, frame };
        let letters = ((right - NAMED_LEFT) / names.len() as f64 / LETTER).floor().max(1.0) as usize;
        for (i, name) in names.iter().enumerate() {
            let Point { x, y } = figure.at(i as f64, i as f64);
            figure.text("tick", (NAMED_LEFT - 6.0, y + 4.0), "end", &escape(&shorten(name, NAME_LETTERS)));
            figure.text("tick", (x, bottom + 16.0), "middle", &escape(&shorten(name, letters)));
        }
        figure.text("name", (f64::midpoint(NAMED_LEFT, right), HEIGHT - 12.0), "middle", &escape(x_name));
        figure.text("name", (NAMED_LEFT - 6.0, top - 8.0), "end", &escape(y_name));
        figure
    }

    /// Adds a cell of the matrix with a text. The opacity of the cell grows with `fraction`.
    pub fn cell(mut self, cell: Cell, fraction: f64, text: &str) -> Self {
        let Cell { row, column } = cell;
        let (x, y) = (column as f64, row as f64);
        let (Point { x: left, y: top }, Point { x: right, y: bottom }) =
            (self.at(x - 0.5, y - 0.5), self.at(x + 0.5, y + 0.5));
        self.push(&format!(
            "<rect class=\"bar first\" fill-opacity=\"{:.3}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            // Limits the opacity, so that dark text stays readable.
            fraction * 0.6,
            right - left - 1.0,
            bottom - top - 1.0
        ));
        let centre = (f64::midpoint(left, right), f64::midpoint(top, bottom) + 4.0);
        self.text("count", centre, "middle", &escape(text));
        self
    }

    /// Creates an empty plot that has only a horizontal axis.
    fn across(id: &'static str, title: &str, [x, y]: [Range; 2], frame: [f64; 4], name: &str) -> Self {
        let [left, top, right, bottom] = frame;
        let (summary, body) = (String::new(), String::new());
        let mut figure = Self { id, title: title.into(), summary, body, x, y, legend: left, frame };
        for tick in ticks(x.low, x.high, if left > FRAME[0] { 4 } else { 5 }) {
            let at = figure.at(tick, y.low).x;
            figure.push(&format!("<path class=\"grid\" d=\"M{at:.1} {top}V{bottom}\"/>"));
            figure.text("tick", (at, bottom + 16.0), "middle", &escape(&short(tick)));
        }
        figure.push(&format!("<path class=\"axis\" d=\"M{left} {top}V{bottom}H{right}\"/>"));
        figure.text("name", (f64::midpoint(left, right), HEIGHT - 12.0), "middle", &escape(name));
        figure
    }

    /// Adds text, which must already be escaped.
    fn text(&mut self, class: &str, at: impl Into<Point>, anchor: &str, text: &str) {
        let Point { x, y } = at.into();
        self.push(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
    }

    /// Removes the minus signs from the tick labels, for a plot in which downward bars also stand for positive
    /// numbers.
    pub fn unsigned(mut self) -> Self {
        self.body = self.body.replace(">-", ">");
        self
    }

    /// Sets the summary.
    pub fn summary(mut self, words: impl Into<String>) -> Self {
        self.summary = words.into();
        self
    }

    fn push(&mut self, svg: &str) {
        self.body.push_str(svg);
        self.body.push('\n');
    }

    /// Converts a point from the units of the axes to CSS pixels. A point far outside the frame is moved to a
    /// position just outside the frame.
    fn at(&self, x: f64, y: f64) -> Point {
        let [left, top, right, bottom] = self.frame;
        let part = |value: f64, Range { low, high }: Range| ((value - low) / (high - low)).clamp(-0.02, 1.02);
        Point { x: left + part(x, self.x) * (right - left), y: bottom - part(y, self.y) * (bottom - top) }
    }

    /// Adds a line through points. Leaves out a point if it lies on the line between its neighbours, or within 0.3
    /// pixels of the previous point. A point that is not finite interrupts the line.
    pub fn line(mut self, class: &str, points: &[impl Into<Point> + Copy]) -> Self {
        let mut path = String::new();
        let points: Vec<Point> = points.iter().map(|&point| point.into()).collect();
        for piece in points.split(|Point { x, y }| !x.is_finite() || !y.is_finite()) {
            let mut kept: Vec<Point> = vec![];
            for (i, &Point { x, y }) in piece.iter().enumerate() {
                let at = self.at(x, y);
                if let [.., a, b] = kept[..] {
                    let cross = (b.x - a.x) * (at.y - a.y) - (b.y - a.y) * (at.x - a.x);
                    let onward = (b.x - a.x) * (at.x - b.x) + (b.y - a.y) * (at.y - b.y) >= 0.0;
                    if cross.abs() < 1e-6 && onward {
                        kept.pop();
                    }
                }
                let near = kept.last().is_some_and(|b| (b.x - at.x).abs() < 0.3 && (b.y - at.y).abs() < 0.3);
                if !near || i + 1 == piece.len() {
                    kept.push(at);
                }
            }
            for (i, Point { x, y }) in kept.iter().enumerate() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
            }
        }
        self.push(&format!("<path class=\"line {class}\" d=\"{path}\"/>"));
        self
    }

    /// Adds a dot at each point.
    pub fn dots(mut self, class: &str, points: &[impl Into<Point> + Copy]) -> Self {
        let points = points.iter().map(|&point| -> Point { point.into() });
        for Point { x, y } in points.filter(|at| at.x.is_finite() && at.y.is_finite()) {
            let Point { x, y } = self.at(x, y);
            self.push(&format!("<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>"));
        }
        self
    }

    /// Adds a dot with an id. The script of the page can move the dot.
    pub fn marker(mut self, name: &str, x: f64, y: f64) -> Self {
        let Point { x, y } = self.at(x, y);
        self.push(&format!("<circle class=\"marker\" id=\"{name}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5.5\"/>"));
        self
    }

    /// Adds a vertical line with an id. The script of the page can move the line.
    pub fn upright(mut self, name: &str, x: f64) -> Self {
        let at = self.at(x, self.y.low).x;
        let [_, top, _, bottom] = self.frame;
        self.push(&format!(
            "<path class=\"upright\" id=\"{name}\" transform=\"translate({at:.1} 0)\" d=\"M0 {top}V{bottom}\"/>"
        ));
        self
    }

    /// Adds a filled rectangle between two corners.
    pub fn bar(mut self, class: &str, a: impl Into<Point>, b: impl Into<Point>) -> Self {
        let (a, b): (Point, Point) = (a.into(), b.into());
        let (a, b) = (self.at(a.x, a.y), self.at(b.x, b.y));
        let (x, y, width, height) = (a.x.min(b.x), a.y.min(b.y), (a.x - b.x).abs(), (a.y - b.y).abs());
        if width > 0.05 && height > 0.05 {
            self.push(&format!(
                "<rect class=\"bar {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            ));
        }
        self
    }

    /// Adds an entry to the legend above the frame.
    pub fn legend(mut self, class: &str, name: &str) -> Self {
        let room = ((FRAME[2] - self.legend - 24.0) / LETTER).max(0.0);
        if room < 3.0 {
            return self;
        }
        let name = shorten(name, (room as usize).min(24));
        let x = self.legend;
        self.push(&format!("<path class=\"line key {class}\" d=\"M{x:.0} 17H{:.0}\"/>", x + 16.0));
        self.push(&format!("<text class=\"tick\" x=\"{:.0}\" y=\"21\">{}</text>", x + 21.0, escape(&name)));
        let wide = name.chars().count() as f64 * LETTER;
        self.legend += wide + 36.0;
        self
    }

    /// Returns an SVG element for a page that already has the style of plots.
    pub fn inline(&self) -> String {
        self.element("", "")
    }

    /// Returns a standalone SVG file.
    pub fn file(&self) -> String {
        let style =
            format!("<style>\n{}\nsvg {{ background: var(--paper) }}\n</style>\n", include_str!("plot.css").trim());
        self.element(
            &format!(" xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\"", WIDTH * 1.5, HEIGHT * 1.5),
            &style,
        )
    }

    fn element(&self, attributes: &str, style: &str) -> String {
        let Self { id, title, summary, body, .. } = self;
        let (title, summary) = (escape(title), escape(summary));
        format!(
            "<svg{attributes} class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-title {id}-summary\">\n\
             <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-summary\">{summary}</desc>\n{style}{body}</svg>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<script>&'\"\u{0}\u{202e}"), "&lt;script&gt;&amp;&#39;&quot;\u{fffd}\u{fffd}");
        let figure = Figure::new("t", "<b>", [(0.0, 1.0); 2], ["<x>", "y&"]).legend("first", "</svg>").summary("\"<");
        for text in [figure.inline(), figure.file()] {
            assert!(!text.contains("<b>") && !text.contains("<x>") && text.matches("</svg>").count() == 1, "{text}");
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            ticks(0.0, 1.0, 5).iter().map(|&t| short(t)).collect::<Vec<_>>(),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(ticks(-0.3, 0.34, 5).iter().map(|&t| short(t)).collect::<Vec<_>>(), ["-0.2", "0", "0.2"]);
        for (low, high) in [(1e-9, 3e-9), (5.0, 5.000_001), (-1e12, 1e12), (0.0, 0.0), (1.0, f64::INFINITY)] {
            let all = ticks(low, high, 5);
            assert!((1..=7).contains(&all.len()) && all.iter().all(|t| t.is_finite()), "{all:?}");
        }
    }

    #[test]
    fn lines_keep_their_shape_with_few_points() {
        let steps: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i) / 1e5, f64::from(i / 50_000))).collect();
        let text = Figure::new("t", "", [(0.0, 1.0); 2], ["", ""]).line("first", &steps).inline();
        let path = text.split("line first\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(path.matches(['M', 'L']).count(), 4, "{path}");
        let gap = [(0.0, 0.0), (0.5, 0.5), (0.6, f64::NAN), (0.7, 0.2), (1.0, 1.0)];
        let text = Figure::new("t", "", [(0.0, 1.0); 2], ["", ""]).line("first", &gap).inline();
        assert_eq!(text.split("line first\" d=\"").nth(1).unwrap().split('"').next().unwrap().matches('M').count(), 2);
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 1.0, 0.25, 1234.5, 0.000_012, 123_456_789.0, -0.5, 99.996, f64::NAN].map(short);
        assert_eq!(all, ["0", "1", "0.25", "1234", "1.2e-5", "1.2e8", "-0.5", "100", "–"]);
    }
}
