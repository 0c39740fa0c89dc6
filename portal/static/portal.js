// What a page may do better with script. Nothing here is needed: every page works without it.

function pressable(text, about) {
  const button = document.createElement("button");
  const more = document.createElement("span");
  button.type = "button";
  button.className = "small";
  more.className = "hidden";
  more.textContent = ` ${about}`;
  button.append(text, more);
  return button;
}

for (const input of document.querySelectorAll("input[data-reveal]")) {
  const button = pressable("Show", "what I typed");
  const reveal = (shown) => {
    input.type = shown ? "text" : "password";
    button.firstChild.data = shown ? "Hide" : "Show";
  };
  button.setAttribute("aria-controls", input.id);
  button.addEventListener("click", () => reveal(input.type === "password"));
  // Browsers remember what is typed into text fields; a password must leave as one.
  input.form?.addEventListener("submit", () => reveal(false));
  input.after(button);
}

if (navigator.clipboard) {
  for (const place of document.querySelectorAll("[data-copy]")) {
    const button = pressable("Copy", place.dataset.copy);
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    said.className = "said";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(place.dataset.copy);
        said.textContent = "Copied";
      } catch {
        said.textContent = "Not copied. Please select and copy it by hand.";
      }
    });
    place.append(" ", button, " ", said);
  }
}

// A second press of a double click would be sent with a cookie that the first has just replaced, and be refused.
for (const form of document.querySelectorAll("form[method=post]")) {
  let sentAt = -Infinity;
  form.addEventListener("submit", (event) => {
    if (event.timeStamp - sentAt < 5000) event.preventDefault();
    else sentAt = event.timeStamp;
  });
  addEventListener("pageshow", () => (sentAt = -Infinity)); // whoever comes back may send again at once
}

// The error summary has autofocus; older browsers know that for form controls only.
if (!("autofocus" in HTMLElement.prototype)) document.querySelector(".error-summary")?.focus();
