"use strict";
(() => {
  const data = JSON.parse(document.getElementById("stops").textContent);
  const [left, top, right, bottom] = data.frame;
  const $ = (id) => document.getElementById(id);
  const slider = $("threshold"), costs = ["cost-fp", "cost-fn"].map($);
  const names = [...document.querySelectorAll(".matrix tbody th")].map((th) => th.textContent);
  const over = (part, whole, none) => (whole === 0 ? none : part / whole);
  const short = (x) => (Number.isInteger(x) ? String(x) : String(Number(x.toPrecision(6))));
  const cost = ([, , tp, fp]) => {
    const [a, b] = costs.map((input) => Number(input.value) || 0);
    return data.tp * tp + a * fp + b * (data.positives - tp) + data.tn * (data.negatives - fp);
  };
  const put = (id, value, text) => {
    const element = $(id);
    element.dataset.value = value;
    (element.querySelector("span") || element).textContent = text;
  };
  const move = (id, x, y) => {
    const mark = $(id);
    if (!mark) return;
    mark.setAttribute("cx", left + x * (right - left));
    mark.setAttribute("cy", bottom - y * (bottom - top));
  };
  const show = () => {
    const stop = data.stops[slider.valueAsNumber], [logit, p, tp, fp] = stop;
    const { positives, negatives } = data, missed = positives - tp, rest = negatives - fp;
    const precision = over(tp, tp + fp, 0), recall = over(tp, positives, 0);
    for (const [id, count] of [["tp", tp], ["fp", fp], ["fn", missed], ["tn", rest]]) put(id, count, count);
    const live = {
      precision, recall, f1: over(2 * tp, 2 * tp + fp + missed, 0), specificity: over(rest, negatives, 0),
      accuracy: (tp + rest) / (positives + negatives),
    };
    for (const [name, value] of Object.entries(live)) put("live-" + name, value, value.toFixed(4));
    put("live-cost", cost(stop), short(cost(stop)));
    const words = logit === null ? (p < 0.5 ? "every row is " : "no row is ") + names[1] : p.toFixed(4);
    put("at", p, words);
    slider.setAttribute("aria-valuetext", words);
    $("say").textContent =
      `${tp} of ${positives} rows of class ${names[1]} found; ${fp} of ${negatives} rows of class ${names[0]} mistaken for it.`;
    move("roc-mark", over(fp, negatives, 0), recall);
    move("pr-mark", recall, over(tp, tp + fp, 1));
    const line = $("scores-mark");
    if (line) line.setAttribute("transform", `translate(${left + p * (right - left)} 0)`);
  };
  const go = (at) => { slider.value = at; show(); };
  slider.addEventListener("input", show);
  costs.forEach((input) => input.addEventListener("input", show));
  $("back").addEventListener("click", () => go(data.at));
  $("cheapest").addEventListener("click", () => {
    const all = data.stops.map(cost), least = Math.min(...all);
    go(all.lastIndexOf(least));
  });
  for (const element of [slider, ...costs, $("back"), $("cheapest")]) element.disabled = false;
  go(data.at);
})();
