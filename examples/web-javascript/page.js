// The page. Its links are relative: it works at a host name of its own as well as under /apps/NAME/.
export const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Guest book</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
  input, textarea { display: block; box-sizing: border-box; width: 100%; margin-bottom: .5rem; font: inherit; }
  li { margin-bottom: 1rem; } time { color: #555; }
</style>
<h1>Guest book</h1>
<form>
  <label>Name <input name="name" required maxlength="100"></label>
  <label>Message <textarea name="message" required maxlength="2000" rows="3"></textarea></label>
  <button>Sign</button>
  <p role="alert"></p>
</form>
<ul></ul>
<script>
  const [form, list, problem] = ['form', 'ul', '[role=alert]'].map((name) => document.querySelector(name));

  async function show() {
    const entries = await (await fetch('entries')).json();
    list.replaceChildren(...entries.map(({ name, message, at }) => {
      const item = document.createElement('li');
      const time = document.createElement('time');
      time.textContent = new Date(at).toLocaleString();
      item.append(name + ', ', time, document.createElement('br'), message);
      return item;
    }));
  }

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const body = JSON.stringify(Object.fromEntries(new FormData(form)));
    const answer = await fetch('entries', { method: 'POST', body });
    problem.textContent = answer.ok ? '' : (await answer.json()).problem;
    if (answer.ok) {
      form.reset();
      await show();
    }
  });

  show();
</script>
</html>
`;
