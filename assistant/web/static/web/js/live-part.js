// <live-part id="…" data-busy>: while the server marks it busy, fetches the page again every few seconds and puts the
// fresh part in its place. Choices made inside (ticked boxes, open details, focus) stop it for that round.
import { freshElement } from "./dom.js";

const EVERY_MS = 2500;

class LivePart extends HTMLElement {
  connectedCallback() {
    if (this.hasAttribute("data-busy")) this.timer = setTimeout(() => this.refresh(), EVERY_MS);
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  async refresh() {
    const ticked = [...this.querySelectorAll("input")].some((input) => input.checked !== input.defaultChecked);
    const inUse = ticked || this.contains(document.activeElement) || this.querySelector("details[open]") || document.hidden;
    const fresh = inUse ? null : await freshElement(this.id).catch(() => null);
    if (fresh) {
      this.replaceWith(fresh);
      document.dispatchEvent(new CustomEvent("live-part:fresh"));
    } else if (this.isConnected) this.timer = setTimeout(() => this.refresh(), EVERY_MS);
  }
}

customElements.define("live-part", LivePart);
