"use strict";
(() => {
const root = document.documentElement, at = (id) => document.getElementById(id), STATUS = ["fail", "warn", "unknown", "info", "n/a", "pass"];
root.classList.add("js");

// Everything that a host has said becomes text of a node, never markup.
function make(name, words, ...children) {
  const node = document.createElement(name), [tag, ...rest] = [words || "", ...children];
  if (tag) node.className = tag;
  for (const child of rest) if (child !== null && child !== undefined && child !== "") node.append(child);
  return node;
}
const number = (value) => value === null || value === undefined ? "" : Number(value).toLocaleString("en");
const stamp = (seconds) => seconds ? new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") : "";
const styleOf = (word) => word === "n/a" ? "na" : STATUS.includes(word) ? word : "missing";
const badge = (word) => make("span", "status " + styleOf(word), word);

// The switch of light and dark.
const theme = at("theme"), THEMES = ["as the system", "light", "dark"];
let themed = 0;
function paint() {
  if (themed) root.dataset.theme = THEMES[themed]; else delete root.dataset.theme;
  theme.textContent = "Colours: " + THEMES[themed];
}
try { themed = Math.max(0, THEMES.indexOf(localStorage.getItem("pidhygiene-colours"))); } catch (_error) { themed = 0; }
theme.addEventListener("click", () => {
  themed = (themed + 1) % 3;
  paint();
  try { localStorage.setItem("pidhygiene-colours", THEMES[themed]); } catch (_error) { /* a page of a file need not remember */ }
});
paint();

async function unpack() {
  const bytes = Uint8Array.from(atob(at("data").textContent.trim()), (char) => char.charCodeAt(0));
  return JSON.parse(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text());
}

unpack().then(start).catch((error) => {
  at("told").textContent = "The list of hosts cannot be shown by this browser (" + error.message + "). What stands above is whole.";
});

function start(data) {
  const H = data.hosts, total = H.name.length, list = at("list"), rows = at("rows"), search = at("search"), told = at("told"), page = at("host"), overview = at("overview");
  const pick = { status: at("by-status"), group: at("by-group"), rule: at("by-rule"), zone: at("by-zone") };
  const word = (i) => H.outcome[i] ? data.outcomes[H.outcome[i]] : STATUS[H.status[i]];
  const groupsOf = (i) => data.groupsets[H.groups[i]].map((g) => data.groups[g]);
  const limitOf = (i) => H.limit[i] < 0 ? null : data.limits[H.limit[i]];
  const share = (i) => { const limit = limitOf(i); return limit ? limit[2] / limit[3] : -1; };
  const low = H.name.map((name) => name.toLowerCase());
  let cause = null, shown = [], selected = 0, sorted = "status", down = false, rowHeight = 34;

  const gravity = (i) => (H.outcome[i] ? 0 : 1 + H.status[i]);
  const counted = (i) => data.countsets[H.counts[i]];
  const found = (i) => { const c = counted(i); return (c[0] || 0) * 1e6 + (c[1] || 0) * 1e3 + (c[2] || 0); };
  const KEYS = {
    status: (a, b) => gravity(a) - gravity(b) || found(b) - found(a) || share(b) - share(a), host: (a, b) => a - b,
    groups: (a, b) => groupsOf(a).join().localeCompare(groupsOf(b).join()), zone: (a, b) => data.zones[H.zone[a]].localeCompare(data.zones[H.zone[b]]),
    limit: (a, b) => share(b) - share(a), findings: (a, b) => found(b) - found(a), seen: (a, b) => (H.at[a] || 0) - (H.at[b] || 0),
  };

  function options(select, words) {
    for (const value of words) { const option = make("option", "", value); option.value = value; select.append(option); }
  }
  options(pick.status, [...data.outcomes.slice(1), ...STATUS.filter((each) => H.status.includes(STATUS.indexOf(each)))]);
  options(pick.group, data.groups.filter((each) => !each.includes("=")).sort());
  options(pick.rule, data.rules.filter((each) => each.found).map((each) => each.id).sort());
  options(pick.zone, data.zones.filter(Boolean).sort());

  function refresh() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), { status, group, rule, zone } = Object.fromEntries(Object.entries(pick).map(([k, v]) => [k, v.value]));
    const groupSets = group && data.groupsets.map((set) => set.some((g) => data.groups[g] === group));
    const ruleAt = rule ? data.rules.findIndex((each) => each.id === rule) : -1, markSets = rule && data.marksets.map((set) => set.some((mark) => mark >> 3 === ruleAt));
    const ofCause = cause === null ? null : new Set(data.causes[cause].hosts);
    const texts = words.length ? data.texts.map((text) => (data.rules[text.rule].id + " " + text.subject + " " + text.message).toLowerCase()) : null;
    const textSets = words.length ? data.textsets.map((set) => set.map((t) => t < 0 ? "" : texts[t]).join(" ")) : null;
    shown = [];
    for (let i = 0; i < total; i++) {
      if (ofCause && !ofCause.has(i) || status && word(i) !== status || group && !groupSets[H.groups[i]] || rule && !markSets[H.marks[i]] || zone && data.zones[H.zone[i]] !== zone) continue;
      if (words.length && !words.every((each) => low[i].includes(each) || textSets[H.texts[i]].includes(each) || groupsOf(i).some((g) => g.toLowerCase().includes(each)) || data.zones[H.zone[i]].toLowerCase().includes(each))) continue;
      shown.push(i);
    }
    const by = KEYS[sorted];
    shown.sort((a, b) => (down ? by(b, a) : by(a, b)) || a - b);
    selected = 0;
    list.scrollTop = 0;
    at("cause-chosen").hidden = cause === null;
    if (cause !== null) at("cause-words").textContent = data.causes[cause].rule + " " + data.causes[cause].what;
    told.textContent = number(shown.length) + " of " + number(total) + " hosts";
    draw();
  }

  // Only the rows in sight exist.
  function draw() {
    rowHeight = matchMedia("(max-width: 46rem)").matches ? 58 : 34;
    rows.style.height = shown.length * rowHeight + "px";
    const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 8), last = Math.min(shown.length, first + Math.ceil(list.clientHeight / rowHeight) + 16);
    const made = [];
    for (let place = first; place < last; place++) made.push(row(place));
    rows.replaceChildren(...made);
    if (shown.length) list.setAttribute("aria-activedescendant", "row-" + selected); else list.removeAttribute("aria-activedescendant");
  }
  function row(place) {
    const i = shown[place], limit = limitOf(i), counts = counted(i), text = STATUS.map((s, n) => counts[n] && n < 3 ? counts[n] + " " + s : "").filter(Boolean).join(", ");
    const node = make("div", "grid", badge(word(i)), make("span", "mono", H.name[i]), make("span", "faint", groupsOf(i).filter((each) => !each.includes("=")).join(", ")), make("span", "", data.zones[H.zone[i]]),
      make("span", "", limit ? Math.round(100 * limit[2] / limit[3]) + " % " + limit[0] : ""), make("span", "small", text), make("span", "small faint", stamp(H.at[i])));
    node.id = "row-" + place;
    node.setAttribute("role", "option");
    node.setAttribute("aria-selected", String(place === selected));
    node.setAttribute("aria-setsize", shown.length);
    node.setAttribute("aria-posinset", place + 1);
    node.style.top = place * rowHeight + "px";
    node.dataset.place = place;
    return node;
  }
  function move(by) {
    if (!shown.length) return;
    selected = Math.min(shown.length - 1, Math.max(0, selected + by));
    const top = selected * rowHeight;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight - list.clientHeight;
    draw();
    list.scrollIntoView({ block: "nearest" });
  }

  function details(title, text) {
    return text ? make("details", "", make("summary", "", title), make("pre", "", text)) : null;
  }
  const quoted = (name) => /^[\w.@:+-]+$/.test(name) ? name : "'" + name.replaceAll("'", "'\\''") + "'";

  function finding(index, i) {
    const text = data.texts[index], status = STATUS[text.status], node = make("article", "finding of-" + styleOf(status) + (text.waiver && !text.waiver.expired ? " waived" : ""));
    node.append(make("p", "", badge(status), " ", text.severity, " ", make("strong", "", data.rules[text.rule].id), " ", data.rules[text.rule].title), make("p", "say", text.message));
    if (text.binding) node.append(make("p", "faint", "Binding limit: ", make("code", "", text.binding)));
    if (text.evidence.length) node.append(make("ul", "faint", ...text.evidence.map(([source, value]) => make("li", "", make("code", "", source), ": ", make("code", "", value)))));
    if (text.more) node.append(make("p", "faint", number(text.more) + " more lines of evidence are in the result of this host."));
    if (text.waiver) node.append(make("p", "", (text.waiver.expired ? "Waiver expired " : "Waived until ") + text.waiver.expires + " by " + text.waiver.owner + ": " + text.waiver.justification));
    if (text.remedy >= 0) {
      const remedy = data.remedies[text.remedy];
      if (remedy.by_hand) node.append(make("p", "", make("b", "", "Remedy: "), remedy.by_hand));
      else for (const part of [make("p", "", make("b", "", "Remedy"), remedy.disruptive ? " (disruptive)" : ""), details("Ansible task", remedy.ansible), details("Salt state", remedy.salt),
        details("Plan on the command line", remedy.command.replaceAll("HOST", () => quoted(H.name[i])))]) if (part) node.append(part);
    }
    if (text.references.length) node.append(make("p", "faint small", "See " + text.references.join(", ")));
    return node;
  }

  function open(i) {
    const limit = limitOf(i), list_ = make("dl", ""), say = (name, value) => { if (value) list_.append(make("dt", "", name), make("dd", "", value)); };
    say("Status", badge(word(i)));
    say("Groups", groupsOf(i).join(", "));
    say("System", [data.systems[H.system[i]], data.kernels[H.kernel[i]]].filter(Boolean).join(" · "));
    say("Time zone", data.zones[H.zone[i]]);
    say("Audited", stamp(H.at[i]) && stamp(H.at[i]) + " UTC" + (H.flags[i] & 1 ? " · partial view: not as root" : "") + (H.flags[i] & 2 ? " · stale" : ""));
    say("Tightest limit", limit && number(limit[2]) + " of " + number(limit[3]) + ": " + limit[0] + " of " + limit[1]);
    say("Tasks", number(H.tasks[i]) + (H.zombies[i] ? ", " + number(H.zombies[i]) + " of them zombies" : ""));
    const why = data.messages[i];
    if (why) { say("Why", why[0]); say("Next", why[1]); }
    for (const error of data.errors[i] || []) say("Internal error", error);
    say("SHA-256 of the result", data.digests ? data.digests[i] : "");
    const known = data.textsets[H.texts[i]].filter((t) => t >= 0), left = data.textsets[H.texts[i]].length - known.length;
    known.sort((a, b) => (data.texts[a].waiver && !data.texts[a].waiver.expired ? 1 : 0) - (data.texts[b].waiver && !data.texts[b].waiver.expired ? 1 : 0) || data.texts[a].status - data.texts[b].status);
    const title = make("h2", "", H.name[i]), back = make("button", "quiet", "← All hosts (Esc)");
    title.tabIndex = -1;
    back.addEventListener("click", close);
    page.replaceChildren(back, title, list_, ...known.map((t) => finding(t, i)));
    if (left) page.append(make("p", "", number(left) + (known.length ? " more" : "") + " findings of this host are counted, not shown, to keep this page small. All of them: ",
      make("code", "", "python -m pidhygiene.controller report --store URL --host " + quoted(H.name[i]))));
    if (!known.length && !left && !H.outcome[i]) page.append(make("p", "", "Nothing was found on this host by the rules that ran."));
    page.hidden = false;
    overview.hidden = true;
    scrollTo(0, 0);
    title.focus();
    document.title = H.name[i] + " · " + pageTitle;
  }
  const pageTitle = document.title;
  let scrolled = 0;
  function close() { if (location.hash.startsWith("#host=")) { history.replaceState(null, "", "#hosts"); route(); } }
  function route() {
    let name = null, chosen = null;
    try {
      if (location.hash.startsWith("#host=")) name = decodeURIComponent(location.hash.slice(6));
      if (location.hash.startsWith("#cause=")) chosen = Number(location.hash.slice(7));
    } catch (_error) { name = null; }
    const i = name === null ? -1 : H.name.indexOf(name);
    if (i >= 0) { if (page.hidden) scrolled = scrollY; open(i); return; }
    const was = !page.hidden;
    page.hidden = true;
    overview.hidden = false;
    document.title = pageTitle;
    if (was) { draw(); scrollTo(0, scrolled); list.focus({ preventScroll: true }); }
    if (chosen !== null && data.causes[chosen]) { cause = chosen; refresh(); at("hosts").scrollIntoView(); list.focus({ preventScroll: true }); }
  }
  const go = (place) => { if (shown[place] !== undefined) location.hash = "host=" + encodeURIComponent(H.name[shown[place]]); };

  list.addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  addEventListener("hashchange", route);
  rows.addEventListener("click", (event) => { const node = event.target.closest("[data-place]"); if (node) { selected = Number(node.dataset.place); go(selected); } });
  search.addEventListener("input", refresh);
  for (const select of Object.values(pick)) select.addEventListener("change", refresh);
  at("all-causes").addEventListener("click", () => { cause = null; if (location.hash.startsWith("#cause=")) history.replaceState(null, "", "#hosts"); refresh(); });
  at("clear").addEventListener("click", () => { search.value = ""; cause = null; for (const select of Object.values(pick)) select.value = ""; refresh(); });
  for (const button of document.querySelectorAll(".heads button")) button.addEventListener("click", () => {
    down = sorted === button.dataset.key && !down;
    sorted = button.dataset.key;
    for (const each of document.querySelectorAll(".heads button")) { each.setAttribute("aria-pressed", "false"); each.textContent = each.dataset.name; }
    button.setAttribute("aria-pressed", "true");
    button.textContent = button.dataset.name + (down ? " ↓" : " ↑");
    refresh();
  });
  const help = at("help");
  at("keys").addEventListener("click", () => help.showModal());
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const typing = event.target.closest("input, select, textarea"), moves = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      if (!page.hidden) close();
      else if (typing) { if (search.value && event.target === search) { search.value = ""; refresh(); } event.target.blur(); list.focus({ preventScroll: true }); }
      return;
    }
    if (typing) { if (event.key === "Enter" && event.target === search) { list.focus(); event.preventDefault(); } return; }
    if (event.key === "/") { if (!page.hidden) close(); search.focus(); search.select(); event.preventDefault(); }
    else if (event.key === "?") { help.showModal(); event.preventDefault(); }
    else if (!page.hidden) { if (event.key === "j" || event.key === "k") { selected = Math.min(shown.length - 1, Math.max(0, selected + moves)); go(selected); } }
    else if (moves && (event.key.length === 1 || event.target === list)) { move(moves); event.preventDefault(); }
    else if (event.target === list && { PageDown: 1, PageUp: 1, Home: 1, End: 1 }[event.key]) {
      move({ PageDown: 15, PageUp: -15, Home: -total, End: total }[event.key]); event.preventDefault();
    } else if (event.key === "Enter" && (event.target === list || event.target === document.body)) { go(selected); event.preventDefault(); }
  });
  refresh();
  route();
  root.dataset.ready = "yes";
}
})();
