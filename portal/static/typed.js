// On pages with a longer text, and on the sign-in. Who sends a form after the sign-in has ended is led to the sign-in: what
// was typed waits in this tab, an hour at most, for whoever typed it. Without script it has to be typed anew.

const KEY = "typed";
const TEXTS = "textarea, select, input[type=text], input[type=email], input[type=tel]";
const writer = document.querySelector(".account bdi")?.textContent;
const typed = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
const age = Date.now() - (typed?.at ?? 0);
const longer = [...document.querySelectorAll("form[method=post]")].filter((form) => form.querySelector("textarea"));
const texts = (form) => [...form.elements].filter((each) => each.matches(TEXTS));

for (const form of longer) {
  form.addEventListener("submit", () => {
    const values = Object.fromEntries(texts(form).map((each) => [each.name, each.value]));
    const where = { path: location.pathname, action: form.getAttribute("action") };
    sessionStorage.setItem(KEY, JSON.stringify({ ...where, values, writer, at: Date.now() }));
  });
}

if (typed && writer === undefined && !typed.late && age < 60000 && new URLSearchParams(location.search).has("next")) {
  sessionStorage.setItem(KEY, JSON.stringify({ ...typed, late: true })); // led here by that form
} else if (typed && writer !== undefined) {
  const waits = typed.late && typed.writer === writer && age < 3600000;
  const form = longer.find((each) => location.pathname === typed.path && each.getAttribute("action") === typed.action);
  if (waits && form) {
    const said = document.createElement("p");
    said.setAttribute("role", "status");
    said.className = "hint";
    said.textContent = "Here is what you had typed. It has not been sent yet.";
    for (const each of texts(form)) each.value = typed.values[each.name] ?? each.value;
    form.closest("details")?.setAttribute("open", "");
    form.prepend(said);
  }
  if (form || !waits) sessionStorage.removeItem(KEY);
}
