// Building the page: elements and text nodes only, never markup from strings.

/** An element with attributes (false and null are left out) and children; strings become text nodes. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

let words;

/** A sentence from the server's list, in the reader's language, with %(name)s filled in. */
export function say(key, values = {}) {
  words ??= JSON.parse(document.getElementById("words")?.textContent ?? "{}");
  return (words[key] ?? key).replace(/%\((\w+)\)[sd]/g, (whole, name) => String(values[name] ?? whole));
}

/** The token that Django expects with every changing request. */
export function csrfToken() {
  return document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

/** Fetch the page again as the server renders it now; the element with this id, or null. */
export async function freshElement(id, url = location.href, signal = undefined) {
  const response = await fetch(url, { headers: { Accept: "text/html" }, credentials: "same-origin", signal });
  if (!response.ok || response.redirected) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const found = page.getElementById(id);
  return found ? document.adoptNode(found) : null;
}

/** Say something once to a screen reader. */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = text;
}
