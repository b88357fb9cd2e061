"""What the interface check measures on one page (docs/demo.md lists it)."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

# Focused elements of one page, at most; a walk that is longer has lost its way.
_MOST_STOPS = 200

_AXE = """() => axe.run(document, {
  iframes: false,  // the ad server's pages are checked by themselves
  resultTypes: ["violations"],
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
})"""

# At another width and by night it is the same document: what its looks decide is asked again.
_AXE_LOOKS = """() => axe.run(document, {
  iframes: false,
  resultTypes: ["violations"],
  runOnly: { type: "rule", values: [
    "color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable", "region",
    "landmark-unique", "heading-order", "css-orientation-lock",
  ] },
})"""

_LAYOUT = """() => {
  const faults = [], range = document.createRange();
  const seen = (element) => element.checkVisibility() && element.getBoundingClientRect().width > 1;
  for (const element of document.querySelectorAll("body *")) {
    if (!seen(element)) continue;
    const own = [...element.childNodes].filter((node) => node.nodeType === 3);
    const text = own.map((node) => node.data.trim()).join("");
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    const em = parseFloat(style.fontSize), label = text.slice(0, 30);
    // Words broken letter by letter leave no trace in scrollWidth: look for the thin column.
    if (text.length > 12 && style.display !== "inline" && box.width < 5 * em && box.height > 3 * em)
      faults.push(`a column of ${Math.round(box.width)} px: ${label}`);
    if (text && em < 13) faults.push(`text of ${em} px: ${label}`);
    const control = "button, input, select, summary, nav a, .btn, .tag, .fold a, .letter[href]";
    if (element.matches(control) && !element.matches("p:not(.fold) a, li p a") && box.height < 24)
      faults.push(`a target of ${Math.round(box.height)} px: ${element.textContent.trim()}`);
    const least = innerWidth < 704 ? 44 : 36;
    if (element.matches(".inspector button, .site-main button") && box.height < least - 0.5)
      faults.push(`a button of ${Math.round(box.height)} px: ${element.textContent.trim()}`);
    // Hidden overflow cuts words without a trace.
    // A box that keeps its width may have one long word that does not.
    const words = (node) => (range.selectNode(node), range.getBoundingClientRect().right);
    const right = Math.max(box.right, ...own.map(words));
    if (text && right > innerWidth + 1) faults.push(`cut off at the right: ${label}`);
  }
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) faults.push(`the page scrolls sideways: ${width} > ${innerWidth}`);
  return faults;
}"""

_CONTROLS = """() => [
  ...document.querySelectorAll("a[href], button, input:not([type=hidden]), summary"),
].filter((element) => element.checkVisibility()).length"""

# Notes each stop of the walk where it happens: asking from here after each key costs more than
# all else together.
_LISTEN = """() => {
  const stops = (window.tabStops = new Map());
  // What lies under the phone's fixed bar is hidden from the one who tabs.
  const bar = document.querySelector(".peek");
  document.addEventListener("focusin", ({ target }) => {
    const box = target.getBoundingClientRect(), style = getComputedStyle(target);
    const barred = bar && bar.checkVisibility() && target !== bar;
    const floor = barred ? bar.getBoundingClientRect().top : innerHeight;
    stops.set(target, {
      what: target.tagName + " " + target.textContent.trim().slice(0, 24),
      ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      visible: box.bottom > 0 && box.top < floor,
    });
  });
}"""
_STOPS = "() => [...window.tabStops.values()]"

# Tab goes on from where focus, a click or the address's #part was last: that must be the top.
_TO_THE_TOP = """() => {
  // What a frame shows is checked as a page of its own; leaving it takes a while that varies.
  for (const frame of document.querySelectorAll("iframe")) frame.inert = true;
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
  scrollTo(0, 0);
}"""


def axe_faults(page: Page, *, looks_alone: bool = False) -> list[str]:
    """axe is in the page already. looks_alone: what width, light and dark can differ in."""
    found: dict[str, Any] = page.evaluate(_AXE_LOOKS if looks_alone else _AXE)
    return [
        f"axe {violation['id']}: "
        + ", ".join(" ".join(map(str, node["target"])) for node in violation["nodes"][:3])
        for violation in found["violations"]
    ]


def layout_faults(page: Page) -> list[str]:
    faults: list[str] = page.evaluate(_LAYOUT)
    return faults


def keyboard_faults(page: Page) -> list[str]:
    """A walk with Tab from the top: each control reached, each stop ringed and on screen."""
    controls: int = page.evaluate(_CONTROLS)
    page.evaluate(_TO_THE_TOP)
    page.evaluate(_LISTEN)
    for _ in range(min(controls, _MOST_STOPS)):
        page.keyboard.down("Tab")
    page.keyboard.up("Tab")
    stops: list[dict[str, Any]] = page.evaluate(_STOPS)
    faults = [f"no ring on {stop['what']}" for stop in stops if not stop["ring"]]
    faults += [f"off the screen: {stop['what']}" for stop in stops if not stop["visible"]]
    if len(stops) < controls:
        faults.append(f"Tab reached {len(stops)} of {controls} controls")
    return faults
