// One card, of the account or a ticker. Everything is inserted as text: data can never be markup.

import { drawing, viewBox } from "./line.js";
import * as texts from "./texts.js";

const HIGHLIGHT_MS = 1200;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const AMOUNTS = ["unrealized", "realized", "converted"];
const CLASSES = ["ticker", "price", "total", "arrow", "direction", "amount", "line", "area", "since", ...AMOUNTS];
const ELEMENTS = ["time", "figure", "svg"];

export class Card {
  #parts = {};
  #drawing = null;
  #figures = null;
  #line = undefined;
  #isSeen = true;

  /**
   * @param {HTMLTemplateElement} template
   * @param {string} name the ticker, or the account.
   * @param {number} level of its heading.
   */
  constructor(template, name, level) {
    this.name = name;
    this.element = template.content.firstElementChild.cloneNode(true);
    for (const part of CLASSES) this.#parts[part] = this.element.querySelector(`.${part}`);
    for (const part of ELEMENTS) this.#parts[part] = this.element.querySelector(part);
    this.#parts.ticker.textContent = name;
    this.#parts.ticker.title = name;
    this.#parts.ticker.setAttribute("aria-level", level);
  }

  /** The total, undefined if none was reported; for sorting and counting. */
  get total() {
    return this.#figures?.total;
  }

  /** When the last report was made, in ms since 1970; NaN if none was. */
  get reported() {
    return this.#figures?.reported ?? NaN;
  }

  /** Show new figures, and their line if there is one. */
  update(figures, line) {
    const before = this.total;
    this.#figures = figures;
    const { arrow, word } = texts.marks(figures.total);
    this.element.dataset.direction = texts.direction(figures.total);
    this.#write("arrow", arrow);
    this.#write("direction", word);
    this.#write("amount", texts.amount(figures.total));
    for (const name of AMOUNTS) {
      this.#write(name, texts.amount(figures[name]));
      this.#parts[name].dataset.direction = texts.direction(figures[name]);
    }
    this.#write("price", figures.price === undefined ? "" : texts.price(figures.price));
    this.#parts.time.title = texts.exactTime(figures.reported);
    this.#line = line;
    this.#draw();
    if (before !== undefined && before !== figures.total) this.#highlight(figures.total - before);
  }

  /** Whether the card is near the visible part of the page: if not, its line can wait. */
  set isSeen(isSeen) {
    this.#isSeen = isSeen;
    this.#draw();
  }

  /** Update the age and the line for the time `now`. Both in ms since 1970. */
  tick(now, since) {
    this.#write("time", texts.age(this.reported, now));
    this.element.classList.toggle("stale", texts.isStale(this.reported, now));
    this.#parts.figure.hidden = this.#drawing === null || !texts.sameDay(this.reported, now);
    if (this.#parts.figure.hidden || !this.#isSeen) return;
    this.#parts.svg.setAttribute("viewBox", viewBox(this.#drawing, since, now));
    this.#write("since", texts.clock(since));
  }

  #draw() {
    if (!this.#isSeen) return;
    const points = this.#line?.points ?? [];
    this.#drawing = points.length > 0 ? drawing(points) : null;
    if (this.#drawing === null) return;
    const { line, area, low, high } = this.#drawing;
    this.#parts.line.setAttribute("d", line);
    this.#parts.area.setAttribute("d", area);
    const [at, first] = points[0];
    const range = `between ${texts.amount(low)} and ${texts.amount(high)}`;
    const label = `Total since ${texts.clock(at)}: from ${texts.amount(first)}, ${range}`;
    this.#parts.svg.setAttribute("aria-label", label);
  }

  #write(part, text) {
    const element = this.#parts[part];
    if (element.textContent !== text) element.textContent = text;
  }

  #highlight(change) {
    if (STILL.matches || !this.#isSeen) return;
    const tint = change < 0 ? "var(--down-tint)" : "var(--up-tint)";
    this.#parts.total.animate([{ backgroundColor: tint }, {}], HIGHLIGHT_MS);
  }
}
