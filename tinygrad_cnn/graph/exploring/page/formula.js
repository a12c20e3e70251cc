// Executes the formulas that Python read. An expression is [kind, text, parts, value].

/** The value of an expression. entry(name, index): that of an entry of an array. */
export function evaluate([kind, text, parts, value], env, entry) {
  const of = (k) => evaluate(parts[k], env, entry);
  switch (kind) {
    case "number": return value;
    case "letter": return env[text];
    case "at": return entry(text, parts.map((part) => evaluate(part, env, entry)));
    case "()": return of(0);
    case "negative": return -of(0);
    case "²": return of(0) ** 2;
    case "+": return of(0) + of(1);
    case "−": return of(0) - of(1);
    case "·": return times(of(0), of(1));
    case "/": return of(0) / of(1);
    case "[]": return RELATIONS[text](of(0), of(1)) ? 1 : 0;
    case "call": return FUNCTIONS[text](...parts.map((_, k) => of(k)));
    case "Σ": case "max": {
      const values = [];
      each(text.split(","), env.ranges, env, () => values.push(of(0)));
      return kind === "Σ" ? values.reduce((a, b) => a + b, 0) : Math.max(...values);
    }
    default: throw new Error(`no expression: ${kind}`);
  }
}

// Where nothing passes, an infinite number does not either.
const times = (a, b) => (a === 0 || b === 0 ? 0 : a * b);
const FUNCTIONS = {
  exp: Math.exp,
  ln: Math.log,
  tanh: Math.tanh,
  "σ": (x) => 1 / (1 + Math.exp(-x)),
  max: (...xs) => (xs.some(Number.isNaN) ? NaN : Math.max(...xs)),
};
const RELATIONS = {
  "=": (a, b) => a === b, "≠": (a, b) => a !== b, "<": (a, b) => a < b,
  ">": (a, b) => a > b, "≤": (a, b) => a <= b, "≥": (a, b) => a >= b,
};

/** Calls f for all values of these letters for which the conditions hold. */
function each(letters, ranges, env, f, conditions = []) {
  if (!letters.length) return f();
  const [letter, ...rest] = letters;
  const [now, later] = [[], []];
  for (const condition of conditions) {
    const waits = rest.some((l) => condition.letters.has(l));
    (waits ? later : now).push(condition);
  }
  for (let k = 0; k < ranges[letter]; k++) {
    env[letter] = k;
    if (now.every((one) => evaluate(one.value, env) === env[one.name])) {
      each(rest, ranges, env, f, later);
    }
  }
  delete env[letter];
}

function lettersIn([kind, text, parts], found = new Set()) {
  if (kind === "letter") found.add(text);
  parts.forEach((part) => lettersIn(part, found));
  return found;
}

/** What is added up in an expression: [sign, part], brackets opened. */
function addends(e, sign = 1) {
  const [kind, , parts] = e;
  if (kind === "()") return addends(parts[0], sign);
  if (kind === "negative") return addends(parts[0], -sign);
  if (kind === "+" || kind === "−") {
    return [...addends(parts[0], sign), ...addends(parts[1], kind === "+" ? sign : -sign)];
  }
  return [[sign, e]];
}

/** The index letters of an entry of the left side. */
export function bind(formula, index) {
  const env = { ranges: formula.ranges };
  formula.left[2].forEach(([kind, text], axis) => {
    if (kind === "letter") env[text] = index[axis];
  });
  return env;
}

/**
 * The terms of an entry, in the order of the formula. Each has its product; refs: the
 * entries {name, index, value} in it; g: that of g, if there is one, and slope: what it is
 * multiplied with; letters: the values of its index letters. A maximum has a term for each
 * candidate, with `won` for the first of the largest.
 */
export function termsOf(formula, arrays, index) {
  const env = bind(formula, index);
  const found = [];
  const conditions = formula.where.map(([name, value]) => ({
    name, value, letters: lettersIn(value),
  }));
  for (const [sign, e] of addends(formula.right)) {
    const over = e[0] === "Σ" || e[0] === "max";
    const body = over ? e[2][0] : e;
    const add = () => {
      let outside = false;
      const refs = [];
      const look = (name, at) => {
        const k = arrays[name].offset(at);
        if (k < 0) { outside = true; return 0; }
        const value = arrays[name].values[k];
        refs.push({ name, index: at, value });
        return value;
      };
      const product = sign * evaluate(body, env, look);
      if (outside) return;
      const { ranges, ...letters } = env;
      const term = { product: product + 0, refs, letters, chosen: e[0] === "max" };
      const gs = refs.filter((ref) => ref.name === "g");
      if (gs.length === 1) {
        term.g = gs[0];
        const one = (name, at) => (name === "g" ? 1 : arrays[name].at(at));
        term.slope = sign * evaluate(body, env, one) + 0;
      }
      found.push(term);
    };
    each(over ? e[1].split(",") : [], formula.ranges, env, add, conditions);
  }
  const candidates = found.filter((term) => term.chosen);
  if (candidates.length) {
    const best = Math.max(...candidates.map((term) => term.product));
    candidates.find((term) => term.product === best || Number.isNaN(term.product)).won = true;
  }
  return found;
}

/** The sum of terms; of a maximum, the one that won. */
export function sumOf(terms) {
  return terms.reduce((sum, term) => (term.chosen && !term.won ? sum : sum + term.product), 0);
}

/** Largest product first, then largest g, then the order of the formula. */
export function largestFirst(terms) {
  const size = (x) => (Number.isNaN(x) ? Infinity : Math.abs(x));
  return [...terms].sort((a, b) =>
    size(b.product) - size(a.product) || size(b.g?.value ?? 0) - size(a.g?.value ?? 0) || 0);
}
