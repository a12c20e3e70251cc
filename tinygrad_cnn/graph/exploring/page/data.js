// The run: nodes in the order of computation, each with its arrays.

/** Numbers with a shape; row-major. */
export class Tensor {
  constructor(shape, values) {
    this.shape = shape;
    this.values = values;
  }

  /** Where in `values` the entry of this index is; −1 where there is none. */
  offset(index) {
    let k = 0;
    for (let axis = 0; axis < this.shape.length; axis++) {
      const i = index[axis], n = this.shape[axis];
      if (!(i >= 0 && i < n)) return -1;
      k = k * n + i;
    }
    return k;
  }

  at(index) {
    return this.values[this.offset(index)];
  }

  /** The index of the k-th value. */
  index(k) {
    const found = [];
    for (let axis = this.shape.length - 1; axis >= 0; axis--) {
      found.unshift(k % this.shape[axis]);
      k = Math.floor(k / this.shape[axis]);
    }
    return found;
  }

  /** The same values in one row. */
  flat() {
    return new Tensor([this.values.length], this.values);
  }
}

/** Reads what Python packed: see `_pack` there. */
export async function unpack(base64) {
  const text = atob(base64.trim()), packed = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) packed[k] = text.charCodeAt(k);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const planes = bytes.subarray(4 + length), count = planes.length / 4;
  const whole = new Uint8Array(planes.length);
  for (let byte = 0; byte < 4; byte++) {
    for (let k = 0; k < count; k++) whole[4 * k + byte] = planes[byte * count + k];
  }
  const numbers = new Float32Array(whole.buffer);
  let start = 0;
  const arrays = header.arrays.map((shape) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return new Tensor(shape, numbers.subarray(start, (start += size)));
  });
  return new Run(header, arrays);
}

/** Everything that is known of the computation. */
export class Run {
  constructor(header, arrays) {
    this.title = header.title;
    this.digits = header.digits;
    this.nodes = header.nodes.map((node, place) => ({
      ...node,
      place,
      value: arrays[node.value],
      gradient: arrays[node.gradient],
      uses: [],
      contributions: (node.contributions || []).map((c) => ({ ...c, value: arrays[c.value] })),
      kept: Object.fromEntries(Object.entries(node.kept || {}).map(([n, k]) => [n, arrays[k]])),
    }));
    this.operations = this.nodes.filter((node) => node.operation);
    this.operations.forEach((node, step) => {
      node.step = step;
      for (const input of node.inputs) {
        if (input.node !== null) this.nodes[input.node].uses.push({ by: node, input: input.name });
      }
    });
    this.loss = this.nodes[this.nodes.length - 1];
    this.stops = 2 * this.operations.length + 1;
    this.byName = new Map(this.nodes.map((node) => [node.name, node]));
  }

  /** The arrays that the letters of an operation's formulas mean. */
  arraysOf(operation) {
    const found = { ...operation.kept, y: operation.value, g: operation.gradient };
    for (const input of operation.inputs) {
      if (input.node !== null) found[input.name] = this.nodes[input.node].value;
    }
    if (!operation.row_major) return found;
    return Object.fromEntries(Object.entries(found).map(([n, t]) => [n, t && t.flat()]));
  }

  /** The node and the kind of number that a letter of an operation's formulas means. */
  meaning(operation, letter) {
    if (letter === "y") return { node: operation, kind: "value" };
    if (letter === "g") return { node: operation, kind: "gradient" };
    const input = operation.inputs.find((one) => one.name === letter);
    return input && input.node !== null ? { node: this.nodes[input.node], kind: "value" } : null;
  }

  /** The uses of a value that give a part of its gradient, in the order of the way back. */
  parts(node) {
    return node.uses
      .filter((use) => use.by.gradient && use.by.inputs.some((i) => i.name === use.input && i.asked))
      .reverse();
  }

  /** Whether a value is known at this stop of the player. */
  knowsValue(node, stop) {
    return node.step === undefined || stop > node.step;
  }

  /** Of how many parts of a gradient it is known, of how many, at this stop. */
  knownParts(node, stop) {
    if (!node.gradient) return { known: 0, all: 0 };
    const n = this.operations.length;
    if (node === this.loss) return { known: stop >= n ? 1 : 0, all: 1 };
    const parts = this.parts(node);
    return { known: parts.filter((use) => stop >= 2 * n - use.by.step).length, all: parts.length };
  }

  /** The stop at which a number is known. */
  stopOf(node, kind) {
    const n = this.operations.length;
    if (kind === "value") return node.step === undefined ? 0 : node.step + 1;
    if (node === this.loss) return n;
    return Math.max(n, ...this.parts(node).map((use) => 2 * n - use.by.step));
  }

  /** What is known of a value or a gradient at this stop; null where nothing is. */
  known(node, kind, stop) {
    if (kind === "value") return this.knowsValue(node, stop) ? node.value : null;
    const { known, all } = this.knownParts(node, stop);
    if (!known) return null;
    if (known === all || !node.contributions.length) return known === all ? node.gradient : null;
    const sum = new Float32Array(node.gradient.values.length);
    for (const part of node.contributions) {
      if (stop < 2 * this.operations.length - this.nodes[part.by].step) continue;
      part.value.values.forEach((v, k) => (sum[k] += v));
    }
    return new Tensor(node.gradient.shape, sum);
  }
}
