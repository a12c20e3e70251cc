// The page, put together.
import { unpack } from "./data.js";
import { h } from "./elements.js";
import { largestFirst, sumOf } from "./formula.js";
import { forgetColours } from "./matrix.js";
import { NumberPanel, partsOf } from "./number.js";
import { OperationPanel } from "./operation.js";
import { Player } from "./player.js";
import { Search } from "./search.js";
import { State } from "./state.js";
import { Strip } from "./strip.js";

async function start() {
  const run = await unpack(document.getElementById("data").textContent);
  const state = new State(run);
  const strip = new Strip(state), operation = new OperationPanel(state);
  const number = new NumberPanel(state), player = new Player(state);
  const scale = h("select", { onchange: () => state.update({ scale: scale.value }) },
    [["map", "each map"], ["layer", "each layer"], ["all", "all"]].map(([value, text]) => h("option", { value }, text)));
  const quiz = h("button", { ariaPressed: "false", onclick: () => {
    state.update({ quiz: !state.quiz });
    quiz.setAttribute("aria-pressed", String(state.quiz));
  } }, "Quiz");
  const hint = h("p.hint", "Choose an operation above to look into it, then a number to take it apart. ",
    "« and ▶ below play both passes from their beginning; ← and → step.");
  document.getElementById("page").replaceChildren(
    h("header.top", h("h1", run.title), new Search(state).element, h("span", h("label", "colours by ", scale), " ",
      quiz, " ", h("button.print", { onclick: () => print() }, "Print"))),
    h("p.key", h("span.swatch.negative"), " negative ", h("span.swatch.zero"), " 0 ", h("span.swatch.positive"), " positive ",
      h("span.swatch.unknown"), " not yet. Values above, gradients below, parameters at the foot. ",
      run.digits < 7 ? `All numbers are rounded to about ${run.digits} digits, to keep the page small.` : ""),
    strip.element, hint, operation.element, number.element, player.element);
  const show = () => { hint.hidden = Boolean(state.operation || state.selected); strip.show(); operation.show(); number.show(); player.show(); };
  state.listeners.push(show);
  state.listeners.push((changes) => changes.selected && number.element.querySelector("h2").focus());
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", () => {
      forgetColours();
      strip.forget();
      operation.key = null;
      show();
    });
  }
  light();
  keys(state, player);
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) !== state.address()) state.restore(location.hash);
  });
  state.restore(location.hash);
  globalThis.explored = { run, state, partsOf, largestFirst, sumOf };
}

/** An index letter that is pointed at lights up wherever it stands. */
function light() {
  const set = (event, lit) => {
    const letter = event.target.closest?.("[data-letter]")?.dataset.letter;
    if (!letter) return;
    for (const one of document.querySelectorAll("[data-letter]")) {
      one.classList.toggle("lit", lit && one.dataset.letter === letter);
    }
  };
  document.addEventListener("pointerover", (event) => set(event, true));
  document.addEventListener("pointerout", (event) => set(event, false));
}

function keys(state, player) {
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("input, select, textarea, button, canvas");
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape" && state.path.length) {
      const last = state.path[state.path.length - 1];
      state.open(last.node, last.kind, last.index, state.path.slice(0, -1));
    } else if (busy && !(busy.tagName === "BUTTON" && event.key.startsWith("Arrow"))) return;
    else if (event.key === "ArrowRight") state.update({ stop: state.stop + 1 });
    else if (event.key === "ArrowLeft") state.update({ stop: state.stop - 1 });
    else if (event.key === " ") player.toggle();
    else return;
    event.preventDefault();
  });
}

start();
