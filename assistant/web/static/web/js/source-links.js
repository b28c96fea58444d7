// <source-links>: lights the source of the marker under the pointer or focus, and the markers of a source.
class SourceLinks extends HTMLElement {
  connectedCallback() {
    for (const type of ["pointerover", "focusin"]) this.addEventListener(type, (event) => this.light(event.target));
    for (const type of ["pointerleave", "focusout"]) this.addEventListener(type, () => this.light(null));
  }

  light(target) {
    const answer = target?.closest?.(".answer");
    const marker = target?.closest?.("[data-marker]")?.dataset.marker;
    for (const node of this.querySelectorAll("[data-marker]")) {
      node.classList.toggle("lit", Boolean(marker) && node.dataset.marker === marker && node.closest(".answer") === answer);
    }
  }
}

customElements.define("source-links", SourceLinks);
