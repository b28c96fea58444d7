// Put into a page before anything of it runs: notes what ran, what the content security policy stopped, and every
// element or attribute that our pages do not have. What hostile text could make of itself, it would make here.
(() => {
  const watch = (window.watch = { ran: [], violations: [], foreign: [], draws: 0, shown: [] });
  window.canary = (...told) => watch.ran.push(String(told));
  document.addEventListener("securitypolicyviolation", (event) => watch.violations.push(`${event.violatedDirective} ${event.blockedURI}`));

  // Inside these, nothing but these elements with these attributes.
  const INSIDE = [
    [".answer-text", { p: ["dir"], br: [], ul: [], ol: [], li: ["dir", "value"], a: ["class", "href", "data-marker", "aria-label"], span: ["class"] }],
    [".thinking-text, .question, .source h4 a, .crumbs li[aria-current], h1, title, pre, textarea", {}],
    [".quote", { mark: [] }],
  ];
  const NEVER = new Set("img image iframe frame object embed applet base svg math style video audio source picture track area map template plaintext portal".split(" "));

  /** Why the element is not one of ours, or "". */
  function fault(node) {
    const name = node.localName;
    if (node.closest("a.brand > svg") && (name === "svg" || name === "path")) return ""; // the product's sign
    if (NEVER.has(name) || node.namespaceURI !== "http://www.w3.org/1999/xhtml") return `<${name}>`;
    for (const { name: key, value } of node.attributes) {
      if (/^on|^style$|^srcdoc$|^ping$|^srcset$|^background$/.test(key)) return `${key} on <${name}>`;
      if (/^(href|src|action|formaction|data-events)$/.test(key)) {
        const target = new URL(value, location.origin);
        if (target.origin !== location.origin) return `${key}=${value}`;
      }
    }
    if (name === "script" && !(node.src || node.type === "application/json")) return "inline script";
    if (name === "meta" && node.httpEquiv) return "meta http-equiv";
    for (const [selector, allowed] of INSIDE) {
      if (!node.parentElement?.closest(selector)) continue;
      if (!Object.hasOwn(allowed, name)) return `<${name}> inside ${selector}`;
      const more = node.getAttributeNames().find((key) => !allowed[name].includes(key));
      if (more) return `${more} on <${name}> inside ${selector}`;
      if (name === "a") {
        const label = `[${/^#answer-[0-9a-f-]{36}-s(\d{1,3})$/.exec(node.getAttribute("href"))?.[1]}]`;
        // A page that is still being read may have the link before all of its label.
        const said = document.readyState === "loading" ? label.startsWith(node.textContent) : label === node.textContent;
        if (!said || label === "[undefined]" || !node.classList.contains("marker")) return `link ${node.outerHTML}`;
      }
    }
    return "";
  }

  watch.inspect = (root) => {
    for (const node of [root, ...root.querySelectorAll("*")]) {
      const why = fault(node);
      if (why) watch.foreign.push(why);
    }
  };
  new MutationObserver((records) => {
    for (const { type, target, addedNodes } of records) {
      if (type === "attributes" && fault(target)) watch.foreign.push(fault(target));
      for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE && node.isConnected) watch.inspect(node);
    }
  }).observe(document, { childList: true, subtree: true, attributes: true });

  // Every piece of a stream is drawn when it comes, so that no prefix is skipped, and what it shows is kept.
  watch.drawAtOnce = () => {
    window.requestAnimationFrame = (draw) => {
      draw(performance.now());
      watch.draws += 1;
      watch.shown.push(document.querySelector("[data-role=text]").textContent);
      return 0;
    };
  };
})();
