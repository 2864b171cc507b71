// Runs after a report's own script: visits every stop of the slider as a user would, and writes down what the page says.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id), slider = $("threshold");
  const names = ["tn", "fp", "fn", "tp", "live-precision", "live-recall", "live-f1", "live-specificity", "live-accuracy", "live-cost"];
  const input = (element, value) => { element.value = value; element.dispatchEvent(new Event("input", { bubbles: true })); };
  const read = () => {
    const said = { at: $("at").textContent, words: $("say").textContent, spoken: slider.getAttribute("aria-valuetext") };
    for (const name of names) {
      const element = $(name);
      said[name] = Number(element.dataset.value);
      said[name + " shown"] = (element.querySelector("span") || element).textContent;
    }
    for (const name of ["roc-mark", "pr-mark"]) said[name] = [Number($(name).getAttribute("cx")), Number($(name).getAttribute("cy"))];
    return said;
  };
  const result = { begin: slider.valueAsNumber, first: read(), stops: [] };
  input($("cost-fp"), "2");
  input($("cost-fn"), "7.5");
  for (let at = 0; at <= Number(slider.max); at++) {
    input(slider, at);
    result.stops.push(read());
  }
  $("cheapest").click();
  result.cheapest = slider.valueAsNumber;
  $("back").click();
  result.back = slider.valueAsNumber;
  slider.focus();
  result.focus = document.activeElement === slider && slider.tabIndex === 0;
  result.label = slider.labels.length;
  document.documentElement.style.width = "380px";
  result.width = document.querySelector("main").scrollWidth;
  const text = document.createElement("pre");
  text.id = "result";
  text.textContent = JSON.stringify(result);
  document.body.replaceChildren(text);
})();
