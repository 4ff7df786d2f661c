//! Headless Chromium, driven as a person drives it: over the DevTools protocol, through the browser's own pipe.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A browser with one page, which ends with it.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    sent: u64,
    /// Of the page, once it is attached to.
    session: Option<String>,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page in a new browser without history.
    ///
    /// # Panics
    /// Where there is no Chromium (`cargo xtask setup` installs it).
    pub fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        // Chromium reads commands from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-pipe", "--lang=en-GB"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let commands = child.stdin.take().expect("it is piped");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            // Messages end with a zero byte.
            while output.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let value = serde_json::from_slice(&message).expect("the browser speaks JSON");
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self { child, commands, messages, sent: 0, session: None, _profile: profile };
        let target = browser.command("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.command("Target.attachToTarget", &attach);
        browser.session = Some(attached["sessionId"].as_str().expect("a session").to_owned());
        browser.command("Page.enable", &json!({}));
        browser.resize(1200, 900);
        browser.go(url);
        browser
    }

    /// Goes to an address, as if it were typed.
    ///
    /// # Panics
    /// Where nothing answers there.
    pub fn go(&mut self, url: &str) {
        let gone = self.command("Page.navigate", &json!({ "url": url }));
        assert!(gone.get("errorText").is_none(), "{url}: {gone}");
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The size of the page, in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Light or dark, as the system would say.
    pub fn prefer(&mut self, scheme: &str) {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", &feature);
    }

    /// The value of an expression in the page; of a promise, what it comes to.
    ///
    /// # Panics
    /// Where it throws.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let evaluate = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.command("Runtime.evaluate", &evaluate);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of the first element that a selector finds.
    ///
    /// # Panics
    /// Where there is none.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector({})?.innerText", json!(selector)));
        text.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_owned()
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// Where it does not become so.
    pub fn wait_for(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.evaluate(&format!("Boolean({expression})")) != json!(true) {
            if Instant::now() > end {
                let page = self.evaluate("document.body?.innerText");
                panic!("{expression} does not become true: {page}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks on the middle of the first element that a selector finds.
    ///
    /// # Panics
    /// Where there is none.
    pub fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const found = document.querySelector({}); found.scrollIntoView({{ block: 'center' }});
               const box = found.getBoundingClientRect();
               return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let (x, y) = (&place[0], &place[1]);
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.command("Input.dispatchMouseEvent", &event);
        }
    }

    /// Writes text where the focus is.
    pub fn write(&mut self, text: &str) {
        self.command("Input.insertText", &json!({ "text": text }));
    }

    /// Clicks on a field and writes text into it.
    pub fn fill(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.write(text);
    }

    /// Chooses an option of a list, as the keyboard does.
    pub fn choose(&mut self, selector: &str, value: &str) {
        let chosen = self.evaluate(&format!(
            "(() => {{ const list = document.querySelector({}); list.value = {};
               list.dispatchEvent(new Event('change', {{ bubbles: true }})); return list.value; }})()",
            json!(selector),
            json!(value)
        ));
        assert_eq!(chosen, json!(value), "{selector} has no such option");
    }

    /// Presses a key: `Tab`, `Enter` or a space.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            " " => (32, " "),
            _ => (9, ""),
        };
        let mut event = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            event["text"] = json!(text);
        }
        self.command("Input.dispatchKeyEvent", &event);
        event["type"] = json!("keyUp");
        self.command("Input.dispatchKeyEvent", &event);
    }

    /// Writes what is on the screen to a PNG file.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn screenshot(&mut self, path: &Path) {
        let shot = self.command("Page.captureScreenshot", &json!({ "format": "png" }));
        let base64 = shot["data"].as_str().expect("a picture");
        let picture = BASE64_STANDARD.decode(base64).expect("base64");
        std::fs::write(path, picture).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser reads");
        loop {
            let answer = self.messages.recv_timeout(PATIENCE);
            let answer =
                answer.unwrap_or_else(|error| panic!("{method}: the browser does not answer: {error}"));
            if answer["id"] == json!(self.sent) {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
