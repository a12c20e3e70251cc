// Elements and text. Whatever comes from the run is text, never markup.

/** An element: h("button.primary", {onclick, ariaLabel, "data-k": 1}, ...children). */
export function h(kind, ...rest) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const part of rest.flat(Infinity)) {
    if (part === null || part === undefined || part === false) continue;
    if (part instanceof Node || typeof part !== "object") element.append(part);
    else {
      for (const [name, value] of Object.entries(part)) {
        if (name in element) element[name] = value;
        else element.setAttribute(name, value);
      }
    }
  }
  return element;
}

/** A number in so many digits, with a proper minus. */
export function digits(x, count = 3) {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const small = size < 1e-4 || size >= 1e6;
  const text = small ? x.toExponential(count - 1) : String(Number(x.toPrecision(count)));
  return text.replace("e+", "e").replaceAll("-", "−");
}

export const entryName = (name, index) => (index.length ? `${name}[${index.join(", ")}]` : name);

export const shapeText = (shape) => (shape.length ? shape.join(" × ") : "one number");

export const plural = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;

/** An expression, as elements; env: values that stand for index letters. */
export function expressionView([kind, text, parts, value], env = {}) {
  const show = (part) => expressionView(part, env);
  const letter = (name) => letterView(name, env);
  const listed = () => commas(parts.map(show));
  switch (kind) {
    case "number":
      return text ? h("var.known", { title: `${text} = ${value}` }, text) : digits(value);
    case "letter": return letter(text);
    case "at": return h("span.entry", h("b", text), parts.length ? ["[", listed(), "]"] : []);
    case "()": return h("span", "(", listed(), ")");
    case "²": return h("span", show(parts[0]), "²");
    case "negative": return h("span", "−", show(parts[0]));
    case "call": return h("span", text, "(", listed(), ")");
    case "[]": return h("span", "[", show(parts[0]), ` ${text} `, show(parts[1]), "]");
    case "Σ": case "max":
      return h("span", h("span.big", kind), h("sub", commas(text.split(",").map((l) => letterView(l)))),
        " ", show(parts[0]));
    // s i is a product within an index; that of values has a dot.
    case "·": return h("span", show(parts[0]), parts.every(isFactor) ? " " : " · ", show(parts[1]));
    default: return h("span", show(parts[0]), ` ${kind} `, show(parts[1]));
  }
}

const isFactor = ([kind, text]) => kind === "letter" || (kind === "number" && text);
const commas = (parts) => parts.flatMap((part, k) => (k ? [", ", part] : [part]));
const letterView = (name, env = {}) =>
  h("var", { "data-letter": name }, name in env ? String(env[name]) : name);

/** A formula of y, or of a gradient. */
export function formulaView(formula, isGradient, env = {}) {
  const { where } = formula;
  return h("div.formula", isGradient ? "∂L/∂" : "", expressionView(formula.left, env), " = ",
    expressionView(formula.right, env),
    where.length ? h("span.where", " where (", commas(where.map(([l]) => letterView(l, env))),
      ") = (", commas(where.map(([, e]) => expressionView(e, env))), ")") : null);
}

/** The entries of an array in a formula, as it writes them. */
export function entriesOf(formula, name) {
  const found = [];
  const walk = (e) => {
    if (e[0] === "at" && e[1] === name) found.push(e);
    e[2].forEach(walk);
  };
  walk(formula.left);
  walk(formula.right);
  return found;
}
