// What the page shows and does. It stands behind forms.js, in one script.

// The last verification that was answered, and the interface that the form is made from.
let appraisal = null;
let known = null;
let control = null;

// Verification.

let verifying = false;

async function verify() {
  if (verifying) return;
  verifying = true;
  at("verify").disabled = true;
  try {
    const response = await fetch("/.cloister/api/verify", { method: "POST", cache: "no-store" });
    if (!response.ok) throw new Error(`the proxy answered with status ${response.status}`);
    appraisal = await response.json();
  } catch (error) {
    const failure = `The proxy itself does not answer: ${error.message}`;
    appraisal = { enclave: appraisal?.enclave, accepted: false, checks: [], failure };
  }
  verifying = false;
  at("verify").disabled = false;
  show();
}

function show() {
  const { accepted, checks, platform, shown } = appraisal;
  at("live").dataset.state = accepted ? "accepted" : "failed";
  at("live").dataset.platform = platform?.kind ?? "unknown";
  at("verdict").textContent = accepted
    ? (platform.kind === "simulated" ? "Verified, but simulated" : "Verified")
    : "Verification FAILED";
  const time = new Date().toLocaleTimeString();
  at("when").textContent = accepted
    ? `At ${time}, over a new session, in ${appraisal.took_ms} ms. Again every ${PERIOD / 1000} seconds.`
    : `At ${time}. Nothing is sent to it.`;
  at("failure").textContent = appraisal.failure ?? "";
  at("failure").hidden = !appraisal.failure;
  at("simulated").hidden = platform?.kind !== "simulated";
  at("enclave").textContent = appraisal.enclave ?? "";
  document.title = `${accepted ? "Verified" : "FAILED"}: ${appraisal.enclave ?? "Cloister"}`;
  showChecks(checks);
  showFacts(platform, shown);
  showApps(shown?.apps ?? []);
  offerApps(shown?.apps ?? []);
  enable();
}

function showChecks(checks) {
  const words = { passed: "passed", failed: "FAILED", "not-asked": "not asked" };
  const count = (outcome) => checks.filter((check) => check.outcome === outcome).length;
  at("summary").textContent = checks.length
    ? `${count("passed")} passed, ${count("failed")} failed, ${count("not-asked")} not asked for by your policy.`
    : "No evidence was received.";
  const order = ["failed", "passed", "not-asked"];
  const sorted = checks.toSorted((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome));
  at("checks").replaceChildren(...sorted.map((check) =>
    element("li", { "data-outcome": check.outcome },
      element("span", { className: "outcome" }, words[check.outcome]),
      element("span", {}, element("strong", {}, check.name), `: ${check.detail}`))));
}

function describe(list, facts) {
  list.replaceChildren(...facts.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value, alarm]) =>
      [element("dt", {}, name), element("dd", { className: alarm ? "alarm" : "" }, String(value))]));
}

const lines = (list, none) => (list.length ? list.join("\n") : none);

function showFacts(platform, shown) {
  if (!shown) return describe(at("facts"), [["platform", platform?.text ?? "not known"]]);
  describe(at("facts"), [
    ["platform", platform.text, platform.kind !== "hardware"],
    ["MRENCLAVE", shown.mrenclave],
    ["volume", shown.volume ? `epoch ${shown.volume.epoch}\nroot ${shown.volume.root}` : "none: it keeps nothing"],
    ["older disks", shown.freshness],
    ["started", `${new Date(shown.started_ms).toLocaleString()} by its host's clock; start ${shown.starts} of its volume`],
    ["operator", shown.operator ?? "none"],
    ["other images", shown.image_upgrade],
    ["owners", lines(shown.owners, "none")],
    ["issuers", lines(shown.issuers, "none: owners are keys")],
  ]);
}

function showApps(apps) {
  if (!appraisal.accepted) return at("apps").replaceChildren("Nothing is known of an enclave that was refused.");
  if (!apps.length) return at("apps").replaceChildren("None.");
  at("apps").replaceChildren(...apps.map((app) => {
    const list = element("dl");
    describe(list, [
      ["code hash", app.code_hash],
      ["owner", app.owner],
      ["callers", lines(app.callers, "nobody")],
      ["issuers", lines(app.issuers, "")],
      ["upgrades", app.upgrade],
      ["network", lines(app.network, "none: it opens no connections")],
      ["", app.sends_plaintext ? "MAY SEND PLAINTEXT THROUGH THE HOST" : "", true],
      ["assets", app.assets],
      ["shows", lines(app.extensions, "")],
      ["configured", { awaited: "NO: it answers its owner's configuration alone", complete: "yes, as it says" }[app.configuration],
        app.configuration === "awaited"],
      ["fuel of a call", app.fuel.toLocaleString()],
      ["address", `${location.protocol}//${app.name}.localhost:${location.port}/ where it is a web service`],
    ]);
    return element("div", { className: "app", "data-app": app.name }, element("h3", {}, app.name), list);
  }));
}

// Choosing what to call.

function offerApps(apps) {
  const select = at("app");
  const names = apps.map((app) => app.name);
  at("no-apps").hidden = !appraisal.accepted || names.length > 0;
  at("choose").hidden = !names.length && !known;
  const before = [...select.options].map((option) => option.value);
  if (appraisal.accepted && before.join() !== names.join()) {
    const chosen = select.value || appraisal.app;
    select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    if (names.includes(chosen)) select.value = chosen;
  }
  const app = apps.find((app) => app.name === select.value);
  if (app && (known?.app !== app.name || known.code_hash !== app.code_hash)) load(app);
}

async function load(app) {
  known = { app: app.name, code_hash: app.code_hash, functions: [] };
  const mine = known;
  try {
    const response = await fetch(`/.cloister/api/apps/${app.name}`, { cache: "no-store" });
    const body = await response.json();
    if (known !== mine) return;
    if (!response.ok) throw new Error(body.detail);
    known = { ...body, code_hash: app.code_hash };
    if (body.code_hash !== app.code_hash) throw new Error("Its code changed meanwhile. Verify again.");
  } catch (error) {
    known = { ...mine, unknown: error.message };
  }
  const callable = known.functions;
  at("function").replaceChildren(...callable.map((one) => element("option", { value: one.name }, one.name)));
  at("function").disabled = !callable.length;
  const also = [known.serves_http && "a web service", known.runs && "a command"].filter(Boolean);
  const source = { component: "Functions by the component that you gave, which has the attested code hash.",
    enclave: "Functions as the enclave describes them to the app's owner." }[known.source];
  at("about").textContent = [known.unknown, callable.length ? source : "", also.length ? `It is ${also.join(" and ")}.` : ""]
    .filter(Boolean).join(" ");
  choose();
}

function choose() {
  const chosen = known?.functions.find((one) => one.name === at("function").value);
  at("form").hidden = !chosen;
  at("answer").hidden = true;
  control = null;
  if (!chosen) return;
  at("documentation").replaceChildren(element("code", {}, signature(chosen)),
    ...(chosen.documentation ? [element("span", { className: "note" }, chosen.documentation)] : []));
  if (chosen.not_callable) {
    at("fields").replaceChildren(`It has no form: ${chosen.not_callable}.`);
  } else {
    const parts = chosen.parameters.map((one) => ({ name: one.name, made: field(one.name, one.shape, one) }));
    at("fields").replaceChildren(...parts.map((part) => part.made.node));
    control = { name: chosen.name, json: () => object(parts) };
  }
  preview();
  enable();
}

function enable() {
  at("call").disabled = !control || !appraisal?.accepted;
}

function preview() {
  let text = "";
  try {
    text = control ? pretty(control.json()) : "";
    at("invalid").hidden = true;
  } catch (error) {
    text = `not yet: ${error.message}`;
  }
  at("preview").textContent = text;
}

// Calling.

async function call() {
  let body;
  try {
    body = control.json();
  } catch (error) {
    at("invalid").textContent = error.message;
    at("invalid").hidden = false;
    return;
  }
  at("call").disabled = true;
  const path = `/.well-known/cloister/v1/apps/${known.app}/calls/${encodeURIComponent(control.name)}`;
  const headers = { "content-type": "application/json", "cloister-expected-code": known.code_hash };
  try {
    const response = await fetch(path, { method: "POST", headers, body, cache: "no-store" });
    const text = await response.text();
    if (response.ok) answered(text);
    else refused(response.status, text);
  } catch (error) {
    answer("problem", "The proxy does not answer", error.message, []);
  }
  enable();
}

function answer(kind, title, text, cost) {
  at("answer").hidden = false;
  at("answer").dataset.kind = kind;
  at("answer-title").textContent = title;
  at("result").textContent = text;
  describe(at("cost"), cost);
}

function answered(text) {
  const parts = members(text);
  const number = (name) => (parts.has(name) ? BigInt(parts.get(name)).toLocaleString() : null);
  const value = parts.get("result") ?? "null";
  answer("result", "Result", pretty(value), [
    ["fuel", number("fuel")],
    ["time", parts.has("wall_us") ? `${number("wall_us")} µs by the host's clock` : null],
    ["epoch", parts.has("epoch") ? `${number("epoch")}: what it wrote is durable in it` : null],
    ["code hash", JSON.parse(parts.get("code_hash") ?? "null")],
  ]);
}

function refused(status, text) {
  let problem;
  try {
    problem = JSON.parse(text);
  } catch {
    problem = { title: `Status ${status}`, detail: text.slice(0, 2000) };
  }
  const trace = problem.trap?.backtrace?.map((frame) => frame.function ?? `function ${frame.index}`) ?? [];
  answer("problem", problem.title ?? `Status ${status}`, problem.detail ?? "", [
    ["code", problem.code],
    ["did you mean", lines(problem.suggestions ?? [], "")],
    ["reason", problem.trap?.reason],
    ["fuel", problem.trap?.fuel?.toLocaleString()],
    ["backtrace", lines(trace, "")],
  ]);
  if (status === 502 || problem.code === "code-changed") verify();
}

const PERIOD = 30000;

at("verify").onclick = verify;
at("app").onchange = () => offerApps(appraisal?.shown?.apps ?? []);
at("function").onchange = choose;
at("form").oninput = preview;
at("form").onchange = preview;
at("form").onsubmit = (event) => {
  event.preventDefault();
  call();
};
setInterval(verify, PERIOD);
verify();
