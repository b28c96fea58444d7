// <session-clock data-seconds="…">: shows its message shortly before the session ends; what was typed is kept anyway.
const BEFORE_MS = 5 * 60 * 1000;

class SessionClock extends HTMLElement {
  connectedCallback() {
    const left = Number(this.dataset.seconds) * 1000;
    if (left > 0 && left < 2 ** 31) this.timer = setTimeout(() => (this.hidden = false), Math.max(0, left - BEFORE_MS));
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }
}

customElements.define("session-clock", SessionClock);
