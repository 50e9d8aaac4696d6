// The tickers' cards in the chosen order, and their count.

import { Card } from "./card.js";
import { direction } from "./texts.js";

const NAMES = new Intl.Collator("en", { numeric: true });

const ORDERS = {
  ticker: () => 0,
  highest: (one, other) => amountOf(other, -Infinity) - amountOf(one, -Infinity),
  lowest: (one, other) => amountOf(one, Infinity) - amountOf(other, Infinity),
  latest: (one, other) => (other.reported || 0) - (one.reported || 0),
  silent: (one, other) => (one.reported || 0) - (other.reported || 0),
};

function amountOf(card, otherwise) {
  return typeof card.total === "number" ? card.total : otherwise;
}

export class Board {
  #cards = new Map();
  #list = document.getElementById("cards");
  #template = document.getElementById("card");
  #order = document.getElementById("order");
  #filter = document.getElementById("filter");

  constructor() {
    this.#order.addEventListener("change", () => this.arrange());
    this.#filter.addEventListener("input", () => this.arrange());
  }

  get size() {
    return this.#cards.size;
  }

  cards() {
    return this.#cards.values();
  }

  /** Return a ticker's card, and create it if there is none. */
  card(name) {
    let card = this.#cards.get(name);
    if (card === undefined) {
      card = new Card(this.#template, name, 3);
      card.place = document.createElement("li");
      card.place.append(card.element);
      card.place.addEventListener("contentvisibilityautostatechange", (event) => {
        card.isSeen = !event.skipped;
      });
      this.#cards.set(name, card);
    }
    return card;
  }

  /** Remove a ticker's card. */
  remove(name) {
    this.#cards.get(name)?.place.remove();
    this.#cards.delete(name);
  }

  /** Put the cards into the chosen order, and hide those that the filter excludes. */
  arrange() {
    const compare = ORDERS[this.#order.value];
    const sorted = [...this.#cards.values()].sort(
      (one, other) => compare(one, other) || NAMES.compare(one.name, other.name),
    );
    let next = this.#list.firstElementChild;
    for (const { place } of sorted) {
      if (place === next) next = next.nextElementSibling;
      else this.#list.insertBefore(place, next);
    }
    const wanted = this.#filter.value.trim().toUpperCase();
    for (const card of sorted) card.place.hidden = !card.name.toUpperCase().includes(wanted);
    this.#showTally(sorted.filter((card) => !card.place.hidden));
  }

  #showTally(shown) {
    const count = { up: 0, down: 0, flat: 0, unknown: 0 };
    for (const card of shown) count[direction(card.total)] += 1;
    const all = shown.length === this.size ? `${this.size}` : `${shown.length} of ${this.size}`;
    const text = `${all} · ${count.up} up, ${count.down} down`;
    document.getElementById("tally").textContent = text;
    document.getElementById("no-match").hidden = shown.length > 0 || this.size === 0;
  }
}
