// Asks for the product of one term of a number.
import { h } from "./elements.js";

/** The row to ask for, of terms as they are shown; −1 where there is none. */
export function chooseRow(terms) {
  const rows = terms.flatMap((term, k) => (term.product && term.g ? [k] : []));
  return rows.length ? rows[Math.floor(Math.random() * rows.length)] : -1;
}

/** A question for the product in a row; done is called when it may be shown. */
export function question(row, term, done) {
  const answer = h("input", { inputMode: "text", ariaLabel: "your answer", size: 12 });
  const verdict = h("output", { ariaLive: "polite" });
  const check = (event) => {
    event.preventDefault();
    const given = Number(answer.value.trim().replaceAll("−", "-").replace(",", "."));
    const right = answer.value.trim() && Math.abs(given - term.product) <= 0.01 * Math.abs(term.product);
    if (right) return done();
    verdict.textContent = given === 0 || !Number.isFinite(given) ? "Type a number, as −0.0012." :
      Math.abs(given + term.product) <= 0.01 * Math.abs(term.product) ? "Look at the sign." : "Not within 1 %.";
  };
  return h("form.quiz", { onsubmit: check }, h("label", `What is the product in row ${row + 1}? `, answer), " ",
    h("button", { type: "submit" }, "Check"), " ", h("button", { type: "button", onclick: done }, "Show it"), " ", verdict);
}
