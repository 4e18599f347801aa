// Time of the page, put in place before the page's own scripts run. It stands still between the
// agent's actions and passes in steps of the environment's choice, so that an episode depends on
// its seed and actions alone. No timer of the page ever waits for the real clock.
(() => {
  const RealDate = Date;
  const EPOCH = RealDate.UTC(2020, 0, 1, 12);
  const FRAME = 16;
  const MOST_CALLS = 20000;
  let now = 0;
  let begin = 0;
  let order = 0;
  const waiting = new Map();

  const read = () => EPOCH + now - begin;
  const schedule = (call, delay, every, given) => {
    const id = ++order;
    const wait = Math.max(Number(delay) || 0, every === null ? 0 : 1);
    const work = typeof call === "function" ? call : () => (0, eval)(String(call));
    waiting.set(id, { id, due: now + wait, every, work, given });
    return id;
  };
  const forget = (id) => { waiting.delete(Number(id)); };

  window.setTimeout = (call, delay, ...given) => schedule(call, delay, null, given);
  window.setInterval = (call, delay, ...given) =>
    schedule(call, delay, Math.max(Number(delay) || 0, 1), given);
  window.clearTimeout = window.clearInterval = forget;
  window.requestAnimationFrame = (call) =>
    schedule(() => call(now - begin), FRAME - (now % FRAME), null, []);
  window.cancelAnimationFrame = forget;
  window.performance.now = () => now - begin;

  class PageDate extends RealDate {
    constructor(...given) {
      if (given.length === 0) super(read());
      else super(...given);
    }
    static now() { return read(); }
  }
  window.Date = new Proxy(PageDate, { apply: () => new PageDate().toString() });

  const earliest = (until) => {
    let found = null;
    for (const timer of waiting.values()) {
      if (timer.due > until) continue;
      if (!found || timer.due < found.due || (timer.due === found.due && timer.id < found.id))
        found = timer;
    }
    return found;
  };

  // Let so many milliseconds pass; stop where `over()` says that the episode has ended.
  const advance = (milliseconds, over) => {
    const until = now + milliseconds;
    for (let calls = 0; calls < MOST_CALLS && !over(); calls++) {
      const timer = earliest(until);
      if (!timer) break;
      now = Math.max(now, timer.due);
      if (timer.every === null) waiting.delete(timer.id);
      else timer.due = now + timer.every;
      try {
        timer.work(...timer.given);
      } catch (error) {
        console.error(error);
      }
    }
    if (!over()) now = until;
  };

  // Nothing that a page asks for leaves it or stops it.
  window.alert = () => {};
  window.confirm = () => true;
  window.prompt = () => null;
  window.open = () => null;
  window.print = () => {};
  const stay = (event) => {
    const link = event.type === "click" && event.target.closest && event.target.closest("a[href]");
    if (event.type === "submit" || (link && !link.getAttribute("href").startsWith("#")))
      event.preventDefault();
  };
  window.addEventListener("click", stay, true);
  window.addEventListener("submit", stay, true);
  // Dragging by the browser itself (of links, images, selected text) would leave the page's hands.
  window.addEventListener("dragstart", (event) => event.preventDefault(), true);

  // The driver's key that does not exist.
  window.addEventListener("keyup", (event) => {
    if (event.key === "Unidentified") event.stopImmediatePropagation();
  }, true);

  let moves = 0;
  let under = null;
  window.addEventListener("mousemove", (event) => {
    moves += 1;
    under = event.target;
  }, true);

  window.agentrlClock = { advance, restart: () => { begin = now; }, moves: () => moves, under: () => under };
})();
