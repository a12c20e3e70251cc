// Steps through the passes: every operation forward, to the loss, and back.
import { h } from "./elements.js";

/** What happens at a stop. */
export function describe(run, stop) {
  const n = run.operations.length;
  if (stop === 0) return "before the forward pass: only inputs and parameters are known";
  if (stop < n) return `forward: ${run.operations[stop - 1].name} computes y`;
  if (stop === n) return "the loss is known; ∂L/∂L = 1";
  const operation = run.operations[2 * n - stop];
  const asked = operation.inputs.filter((input) => input.asked).map((input) => `∂L/∂${input.name}`);
  return `back: ${operation.name} takes g and gives ${asked.join(", ")}`;
}

export class Player {
  constructor(state) {
    this.state = state;
    const last = state.run.stops - 1;
    const to = (stop) => () => { this.pause(); state.update({ stop: stop() }); };
    const button = (text, label, onclick) => h("button", { ariaLabel: label, title: label, onclick }, text);
    this.play = button("▶", "play", () => this.toggle());
    this.slider = h("input", { type: "range", min: 0, max: last, ariaLabel: "stop", oninput: () => to(() => Number(this.slider.value))() });
    this.speed = h("select", { ariaLabel: "speed" }, [["slow", 1600], ["normal", 800], ["fast", 300]].map(([text, time]) =>
      h("option", { value: String(time), selected: time === 800 }, text)));
    this.text = h("output", { ariaLive: "polite" });
    this.element = h("footer.player", { ariaLabel: "player", role: "group" },
      h("div.buttons", button("«", "to the start", to(() => 0)), button("‹", "a step back", to(() => state.stop - 1)), this.play,
        button("›", "a step on", to(() => state.stop + 1)), button("»", "to the end", to(() => last)), this.speed), this.slider, this.text);
  }

  show() {
    const { run, stop } = this.state;
    this.slider.value = String(stop);
    this.text.textContent = `Stop ${stop} of ${run.stops - 1} · ${describe(run, stop)}`;
    this.slider.setAttribute("aria-valuetext", this.text.textContent);
  }

  toggle() {
    if (this.timer) return this.pause();
    const { state } = this;
    if (state.stop === state.run.stops - 1) state.update({ stop: 0 });
    this.play.textContent = "‖";
    this.play.setAttribute("aria-label", "pause");
    const tick = () => {
      state.update({ stop: state.stop + 1 });
      if (state.stop === state.run.stops - 1) this.pause();
      else this.timer = setTimeout(tick, Number(this.speed.value));
    };
    this.timer = setTimeout(tick, Number(this.speed.value));
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.play.textContent = "▶";
    this.play.setAttribute("aria-label", "play");
  }
}
