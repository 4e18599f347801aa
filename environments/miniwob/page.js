// What the environment asks of a page: begin an episode, see, find a point, set a value.
(() => {
  const OWN = new Set(["query", "reward-display", "sync-task-cover", "click-canvas"]);
  const SILENT = new Set(["SCRIPT", "STYLE", "BR", "HR", "OPTION", "OPTGROUP", "DEFS", "TITLE"]);
  const FIELDS = new Set(["INPUT", "TEXTAREA", "SELECT", "BUTTON"]);
  const MOST_TEXT = 2000;
  const DRAIN = 5000;
  let numbers = new WeakMap();
  let nodes = new Map();
  let clipboard = "";

  const over = () => WOB_DONE_GLOBAL === true;
  const clean = (text) => String(text).replace(/\s+/g, " ").trim().slice(0, MOST_TEXT);
  const number = (node) => {
    if (!numbers.has(node)) {
      numbers.set(node, nodes.size + 1);
      nodes.set(nodes.size + 1, node);
    }
    return numbers.get(node);
  };

  const arrived = (image) => image.complete ? null : new Promise((resolve) => {
    image.addEventListener("load", resolve, { once: true });
    image.addEventListener("error", resolve, { once: true });
  });
  // Pictures that styles show later, when the mouse is over an element say, are fetched at once:
  // while one is on its way its element has no size and clicks miss it.
  const pictures = [];
  const ready = async () => {
    for (const sheet of document.querySelectorAll("style")) {
      for (const [, url] of sheet.textContent.matchAll(/url\(\s*["']?([^"')]+)["']?\s*\)/g)) {
        const image = new Image();
        image.src = url;
        pictures.push(image);
      }
    }
    await Promise.all(pictures.map(arrived));
  };

  const start = (seed, role) => {
    agentrlClock.advance(DRAIN, () => false);
    numbers = new WeakMap();
    nodes = new Map();
    clipboard = "";
    if (document.activeElement) document.activeElement.blur();
    core.EPISODE_MAX_TIME = 1e9;
    agentrlClock.restart();
    Math.seedrandom(seed);
    core.startEpisodeReal();
    agentrlClock.advance(0, over);
    return see(role);
  };

  const boxes = (node) => {
    if (node.nodeType === Node.ELEMENT_NODE) return [...node.getClientRects()];
    const range = document.createRange();
    range.selectNodeContents(node);
    return [...range.getClientRects()];
  };
  const visible = (node) => boxes(node).some((box) => box.width > 0 || box.height > 0);
  const shown = (element) => {
    const style = getComputedStyle(element);
    return style.display !== "none" && style.visibility === "visible";
  };
  const place = (node) => {
    const all = boxes(node);
    const left = Math.min(...all.map((box) => box.left));
    const top = Math.min(...all.map((box) => box.top));
    const right = Math.max(...all.map((box) => box.right));
    const bottom = Math.max(...all.map((box) => box.bottom));
    return [left, top, right - left, bottom - top].map(Math.round);
  };

  const options = (select) => [...select.options].map((o) => [clean(o.text), o.selected]);
  const state = (element, item) => {
    if (element === document.activeElement && element !== document.body) item.states.push("focused");
    if (element.disabled) item.states.push("disabled");
    if (element.readOnly && FIELDS.has(element.tagName)) item.states.push("read-only");
    if (element.tagName === "INPUT") {
      item.type = element.type;
      if (element.type === "checkbox" || element.type === "radio") {
        if (element.checked) item.states.push("checked");
      } else item.value = element.value;
      if (element.placeholder) item.placeholder = clean(element.placeholder);
    } else if (element.tagName === "TEXTAREA") item.value = element.value.slice(0, MOST_TEXT);
    else if (element.tagName === "SELECT") item.options = options(element);
    if (element.labels && element.labels.length) item.label = clean(element.labels[0].textContent);
  };

  const describe = (node, text, role) => {
    if (node.nodeType === Node.TEXT_NODE)
      return { ref: number(node), tag: "text", text, place: place(node), states: [], depth: 0 };
    const drawn = node instanceof SVGElement;
    const item = {
      ref: number(node), tag: node.tagName.toLowerCase(), id: node.id, text,
      classes: clean(drawn ? node.className.baseVal : node.className).split(" ").filter(Boolean),
      place: place(node), states: [], depth: 0,
    };
    const style = getComputedStyle(node);
    if (drawn) {
      item.fill = style.fill;
      item.stroke = style.stroke;
      item.fontSize = style.fontSize;
      for (const name of ["points", "d", "x1", "y1", "x2", "y2"])
        if (node.getAttribute(name)) item[name] = clean(node.getAttribute(name)).slice(0, 200);
    } else {
      item.color = style.color;
      item.background = style.backgroundColor;
    }
    if (node.tagName === "IMG") item.text = clean(node.alt || node.title || "");
    if (role) {
      item.role = node.computedRole || "";
      item.name = clean(node.computedName || "");
    }
    state(node, item);
    return item;
  };

  const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "";
  const isElement = (node) => node.nodeType === Node.ELEMENT_NODE && !SILENT.has(node.tagName);

  // Boxes that only hold space: no text, name, picture, colour or purpose of their own.
  const empty = (element, text) => {
    if (!(element instanceof HTMLElement) || text || FIELDS.has(element.tagName)) return false;
    if (["CANVAS", "IMG"].includes(element.tagName)) return false;
    if (["area", "wrap"].includes(element.id)) return true;
    const style = getComputedStyle(element);
    return style.backgroundColor === "rgba(0, 0, 0, 0)" && style.backgroundImage === "none" &&
      style.cursor === "auto" && parseFloat(style.borderTopWidth) === 0 &&
      !element.id && !element.className;
  };

  // Items in document order: leaves, fields, texts between elements; with roles, named parents too.
  const walk = (element, items, role, depth) => {
    if (OWN.has(element.id) || !shown(element)) return;
    if (element.classList.contains("ui-resizable-handle")) return;
    const inner = [...element.childNodes].filter((n) => isText(n) || isElement(n));
    const leaf = FIELDS.has(element.tagName) || !inner.some(isElement);
    let next = depth;
    if (leaf) {
      const text = FIELDS.has(element.tagName) && element.tagName !== "BUTTON"
        ? "" : clean(element.textContent);
      if (visible(element) && !empty(element, text))
        items.push({ ...describe(element, text, role), depth });
      return;
    }
    const parent = role && element !== document.body && visible(element) &&
      element.computedRole && !["generic", "none"].includes(element.computedRole);
    if (parent) {
      items.push({ ...describe(element, "", role), depth });
      next += 1;
    }
    const before = items.length;
    for (const node of inner) {
      if (isElement(node)) walk(node, items, role, next);
      else if (visible(node)) items.push({ ...describe(node, clean(node.data), role), depth: next });
    }
    // A thing to click that shows nothing of its inside, such as a covered card.
    if (items.length === before && visible(element) && getComputedStyle(element).cursor === "pointer")
      items.push({ ...describe(element, "", role), depth });
  };

  // Pictures and colours in what is asked for are named by class and colour.
  const spoken = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    if (node.childNodes.length) return [...node.childNodes].map(spoken).join("");
    const colour = getComputedStyle(node).backgroundColor;
    const names = [...node.classList].filter((name) => name !== "ui-icon");
    if (colour !== "rgba(0, 0, 0, 0)") names.push(colour.replace(/\s/g, ""));
    return names.length && visible(node) ? ` [${names.join(" ")}] ` : "";
  };
  const utterance = () => {
    const query = document.getElementById("query");
    if (query && !query.textContent.trim()) return clean(spoken(query));
    if (query && query.querySelector(":empty")) return clean(spoken(query));
    const said = core.getUtterance();
    return clean(typeof said === "string" ? said : said.utterance);
  };
  const see = async (role) => {
    await Promise.all([...document.images].map(arrived));
    const items = [];
    walk(document.body, items, role, 0);
    return {
      utterance: utterance(), done: over(), reward: Number(WOB_RAW_REWARD_GLOBAL) || 0, items,
    };
  };

  const hits = (node, x, y) => {
    const found = document.elementFromPoint(x, y);
    const own = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    return found !== null && (own.contains(found) || (found.contains(own) && own !== node));
  };
  const inside = (x, y) => x >= 0 && y >= 0 && x < innerWidth && y < innerHeight;
  const centre = (box) => [box.left + box.width / 2, box.top + box.height / 2];

  // A point of the node that the mouse reaches, scrolled into view if need be; null: no such node.
  const point = (ref) => {
    const node = nodes.get(ref);
    if (!node || !node.isConnected || !visible(node)) return null;
    let [x, y] = centre(boxes(node)[0]);
    if (hits(node, x, y)) return [x, y];
    const own = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    own.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
    const box = boxes(node)[0];
    [x, y] = centre(box);
    for (let step = 0; step < 81 && !hits(node, x, y); step++) {
      x = box.left + (((step * 4) % 9) + 0.5) * box.width / 9;
      y = box.top + (Math.floor(step / 9) + 0.5) * box.height / 9;
    }
    if (!hits(node, x, y)) [x, y] = centre(box);
    return inside(x, y) ? [x, y] : null;
  };

  const tell = (element) => {
    element.dispatchEvent(new Event("input", { bubbles: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const elementOf = (ref, ...tags) => {
    const node = nodes.get(ref);
    return node && node.isConnected && tags.includes(node.tagName) ? node : null;
  };

  // Choose an option by its text; in a list of several choices it is switched on or off.
  const select = (ref, text) => {
    const element = elementOf(ref, "SELECT");
    if (!element || element.disabled) return false;
    const option = [...element.options].find((o) => clean(o.text) === clean(text));
    if (!option) return false;
    element.focus();
    option.selected = element.multiple ? !option.selected : true;
    tell(element);
    return true;
  };

  // Make a field ready to be typed into: "keys", "" (done, or nothing to type into: see `set`).
  const field = (ref) => {
    const element = elementOf(ref, "INPUT", "TEXTAREA");
    if (!element) return "keys";
    if (element.disabled || element.readOnly) return "closed";
    const typed = ["text", "password", "search", "email", "url", "tel", "number", ""];
    if (element.tagName === "INPUT" && !typed.includes(element.type)) return "value";
    element.focus();
    element.select();
    return "keys";
  };
  const set = (ref, text) => {
    const element = elementOf(ref, "INPUT");
    if (!element || ["checkbox", "radio", "button", "submit", "file"].includes(element.type))
      return false;
    const before = element.value;
    element.focus();
    element.value = text;
    if (element.value === "" && text !== "") {
      element.value = before;
      return false;
    }
    tell(element);
    return true;
  };
  const focus = (ref) => {
    const element = elementOf(ref, "SELECT");
    if (element) element.focus();
    return element !== null;
  };
  // Where to click, and whether it is a `select`, which was focused then.
  const aim = (ref) => {
    const at = point(ref);
    return at && [...at, focus(ref)];
  };
  const scroll = (ref, amount) => {
    const node = nodes.get(ref);
    let element = node && node.isConnected && (node.parentElement ? node : null);
    while (element && !(element.scrollHeight > element.clientHeight + 1 && element.clientHeight))
      element = element.parentElement;
    if (!element) return false;
    element.scrollTop += amount;
    element.dispatchEvent(new Event("scroll"));
    return true;
  };

  // A clipboard of this page alone.
  const copy = (cut) => {
    const active = document.activeElement;
    const typed = active && typeof active.selectionStart === "number";
    clipboard = typed
      ? active.value.slice(active.selectionStart, active.selectionEnd)
      : String(getSelection());
    if (cut) document.execCommand("delete");
  };
  const paste = () => document.execCommand("insertText", false, clipboard);
  const selectAll = () => document.execCommand("selectAll");

  // Let time pass and see; null where the mouse has something else under it than it was told of.
  const pass = async (milliseconds, [x, y], role) => {
    agentrlClock.advance(milliseconds, over);
    const seen = await see(role);
    return over() || document.elementFromPoint(x, y) === agentrlClock.under() ? seen : null;
  };

  window.agentrlPage = {
    ready, start, see, pass, point, select, field, set, aim, scroll, copy, paste, selectAll,
  };
})();
