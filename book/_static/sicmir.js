"use strict";
// What scrolls sideways can be reached by the Tab key and scrolled by the arrow keys (WCAG 2.1.1).

document.addEventListener("DOMContentLoaded", () => {
  const tell = ({ target }) => {
    if (target.scrollWidth <= target.clientWidth && target.scrollHeight <= target.clientHeight) {
      target.removeAttribute("tabindex");
      return;
    }
    target.tabIndex = 0;
    if (!target.hasAttribute("role")) {
      target.setAttribute("role", "group");
      target.setAttribute("aria-label", target.querySelector("table") ? "Table, scrolls" : "Text, scrolls");
    }
  };
  // Widths change with the window, and when something folded is opened.
  const watcher = new ResizeObserver((entries) => entries.forEach(tell));
  const found = ".sicmir-scroll, .pst-scrollable-table-container, .bd-article pre, .bd-article div.output";
  for (const element of document.querySelectorAll(found)) watcher.observe(element);
});
