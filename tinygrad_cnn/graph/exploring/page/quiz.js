// Asks for one number: the product of a term, or the sum.
import { digits, h } from "./elements.js";

export class Quiz {
}
