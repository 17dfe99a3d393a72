'use strict';
// Shows the report that stands beside it as JSON. Everything is written as text nodes; nothing is parsed as markup.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const byId = (id) => document.getElementById(id);
  const PAGE = 50;
  const number = (n) => n.toLocaleString('en-US');
  const plural = (n, what) => `${number(n)} ${what}${n === 1 ? '' : 's'}`;

  /** A new element: attributes (`on…` are listeners), then children; text becomes text. */
  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
      else if (key === 'style') for (const [property, v] of Object.entries(value)) made.style.setProperty(property, v);
      else if (value !== null && value !== false) made.setAttribute(key, value === true ? '' : value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  /** `2026-11-21 15:03:12` in UTC; seconds and milliseconds only where there are any. */
  function time(ms) {
    const date = new Date(ms);
    if (Number.isNaN(date.getTime())) return `${ms} ms`;
    const text = date.toISOString().replace('T', ' ').replace('Z', '');
    return text.replace(/(:\d\d)\.000$/, '$1').replace(/(\d\d:\d\d):00$/, '$1');
  }
  const range = (from, to) => {
    const [start, end] = [time(from), time(to)];
    return `${start} – ${start.slice(0, 10) === end.slice(0, 10) ? end.slice(11) : end} UTC`;
  };

  // Light and dark: as the system says until somebody chooses.
  const system = matchMedia('(prefers-color-scheme: dark)');
  const store = {
    get() { try { return localStorage.getItem('nova-theme'); } catch { return null; } },
    set(theme) { try { localStorage.setItem('nova-theme', theme); } catch { /* a page without storage forgets */ } },
  };
  let chosen = store.get();
  const isDark = () => (chosen ? chosen === 'dark' : system.matches);
  function theme() {
    if (chosen) document.documentElement.dataset.theme = chosen;
    byId('theme').textContent = isDark() ? 'Light' : 'Dark';
  }
  byId('theme').addEventListener('click', () => { chosen = isDark() ? 'light' : 'dark'; store.set(chosen); theme(); });
  system.addEventListener('change', theme);
  theme();

  /** A statement with a button that copies it. */
  function sql(title, text) {
    const pre = element('pre', {}, text);
    const button = element('button', { type: 'button', 'aria-label': `Copy the SQL for ${title}` }, 'Copy');
    button.addEventListener('click', async () => {
      let copied = true;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        getSelection().selectAllChildren(pre);
        copied = document.execCommand('copy');
      }
      button.textContent = copied ? 'Copied' : 'Press Ctrl+C';
      setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    });
    return element('div', { class: 'sql' }, element('div', { class: 'head' }, element('span', {}, title), button), pre);
  }

  function table(header, rows) {
    const head = element('tr', {}, ...header.map((text) => element('th', { scope: 'col' }, text)));
    return element('div', { class: 'wide' },
      element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows)));
  }

  // ---- heat map
  const columns = Math.max(data.boundaries.length - 1, 1);
  const tiles = data.streams.map(() => []);
  let selected = null; // [stream, cell]

  function cellText(stream, cell) {
    let text = `${stream.name}, ${range(cell.from, cell.to)}: ${cell.found || 'equal'}`;
    if (cell.not_compared) text += `, ${plural(cell.not_compared, 'window')} not compared`;
    return text;
  }

  function tile(stream, s, cell, c) {
    const text = cellText(stream, cell);
    const made = element('button', {
      type: 'button', role: 'gridcell', class: `tile v${cell.level}`, tabindex: s + c === 0 ? 0 : -1,
      'aria-label': text, 'aria-selected': 'false', title: text,
      style: { 'grid-column': `${cell.at[0] + 1} / ${cell.at[1] + 1}` },
      onclick: () => select([s, c]),
      onkeydown: (event) => move(event, s, c),
    });
    tiles[s].push(made);
    return made;
  }

  function heat() {
    const grid = byId('heat');
    grid.style.setProperty('--least', `${columns * 9}px`);
    data.streams.forEach((stream, s) => {
      const label = element('div', { class: 'label', role: 'rowheader' }, stream.name,
        element('small', {}, stream.found || stream.verdict));
      const cells = element('div', { class: 'cells', role: 'presentation',
        style: { 'grid-template-columns': `repeat(${columns}, minmax(0, 1fr))` } },
      ...stream.cells.map((cell, c) => tile(stream, s, cell, c)));
      grid.append(element('div', { class: 'row', role: 'row' }, label, cells));
    });
    if (data.boundaries.length) {
      const last = data.boundaries[data.boundaries.length - 1];
      grid.append(element('div', { class: 'row end', role: 'presentation' }, element('div', { class: 'label' }),
        element('div', { class: 'axis' }, element('span', {}, time(data.boundaries[0])), element('span', {}, `${time(last)} UTC`))));
    } else {
      grid.replaceWith(element('p', { class: 'note' }, 'No window was compared.'));
    }
    byId('legend').append(...data.levels.map((label, level) =>
      element('li', {}, element('span', { class: `swatch v${level}` }), label)));
  }

  /** Arrow keys: along a row, and to the cell of another row at the same time. */
  function move(event, s, c) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    let [row, column] = [s, c];
    if (steps) {
      row += steps[0];
      while (steps[0] && data.streams[row] && !tiles[row].length) row += steps[0];
      if (!data.streams[row]) return;
      const at = data.streams[s].cells[c].at[0];
      const found = data.streams[row].cells.findIndex((cell) => cell.at[1] > at);
      column = steps[0] ? (found < 0 ? tiles[row].length - 1 : found) : c + steps[1];
    } else if (event.key === 'Home') column = 0;
    else if (event.key === 'End') column = tiles[s].length - 1;
    else return;
    event.preventDefault();
    focusTile(row, column);
  }
  function focusTile(row, column) {
    const next = tiles[row] && tiles[row][column];
    if (!next) return;
    document.querySelectorAll('.tile[tabindex="0"]').forEach((tile) => { tile.tabIndex = -1; });
    next.tabIndex = 0;
    next.focus();
  }

  // ---- the chosen cell
  function select(place) {
    document.querySelectorAll('.tile[aria-selected="true"]').forEach((tile) => tile.setAttribute('aria-selected', 'false'));
    const before = selected;
    selected = place;
    const panel = byId('cell');
    panel.replaceChildren();
    panel.hidden = !place;
    if (place) {
      const [s, c] = place;
      tiles[s][c].setAttribute('aria-selected', 'true');
      document.querySelectorAll('.tile[tabindex="0"]').forEach((tile) => { tile.tabIndex = -1; });
      tiles[s][c].tabIndex = 0;
      panel.append(...cellPanel(data.streams[s], s, c));
      byId('cell-title').focus({ preventScroll: true });
      panel.scrollIntoView({ block: 'center' }); // the keys are right below it
    } else if (before) focusTile(...before);
    list();
  }

  function cellPanel(stream, s, c) {
    const cell = stream.cells[c];
    const windows = stream.differing.filter((window) => window.cell === c);
    const close = element('button', { type: 'button', onclick: () => select(null) }, 'Close');
    const head = element('div', { class: 'head' },
      element('h3', { id: 'cell-title', tabindex: -1 }, `${stream.name} · ${range(cell.from, cell.to)}`), close);
    const facts = `${plural(cell.windows, 'window')}, ${number(cell.rows[0])} rows in PostgreSQL, `
      + `${number(cell.rows[1])} in ClickHouse. ${cell.found ? `Found: ${cell.found}.` : 'No difference.'}`
      + (cell.not_compared ? ` ${plural(cell.not_compared, 'window')} not compared.` : '');
    const rows = windows.slice(0, PAGE).map((window) => element('tr', {},
      element('th', { scope: 'row' }, range(window.from, window.to)),
      element('td', { class: 'number' }, number(window.rows[0])), element('td', { class: 'number' }, number(window.rows[1])),
      element('td', {}, window.compared ? window.found || (window.checksums[0] === window.checksums[1] ? 'counts differ' : 'checksums differ') : 'not compared')));
    const shown = Math.min(windows.length, PAGE);
    const listed = stream.differences.some((difference) => difference.cell === c);
    return [head, element('p', { class: 'note' }, facts),
      rows.length && cell.windows > 1 ? element('details', {}, element('summary', {}, plural(windows.length, 'differing window')),
        table(['Window', 'PostgreSQL', 'ClickHouse', 'Found'], rows)) : null,
      windows.length > shown ? element('p', { class: 'note' }, `and ${number(windows.length - shown)} more differing windows`) : null,
      stream.more_differing ? element('p', { class: 'note' }, `${plural(stream.more_differing, 'differing window')} of this stream not listed here.`) : null,
      // Where keys are listed, they come first, right below.
      element('details', { open: !listed }, element('summary', {}, 'SQL that counts these rows'),
        sql('PostgreSQL, as it is now', cell.sql[0]), sql('ClickHouse, as it is now', cell.sql[1]))].filter(Boolean);
  }
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape' && selected) select(null); });

  // ---- differences
  const all = data.streams.flatMap((stream, s) => stream.differences.map((difference) => ({ stream, s, difference, text: null })));
  let shown = PAGE;
  const what = (d) => (d.key.length ? d.key.map(([name, value]) => `${name}=${value === null ? 'NULL' : value}`).join(' ') : `source_key=${d.source_key}`);

  /** What the text filter looks at: keys, values, messages, reasons. */
  function searchable(entry) {
    if (entry.text === null) {
      const { sql: _, ...rest } = entry.difference;
      const words = [];
      const collect = (value) => {
        if (typeof value === 'string') words.push(value);
        else if (value && typeof value === 'object') Object.values(value).forEach(collect);
      };
      collect(rest);
      entry.text = words.join('\n').toLowerCase();
    }
    return entry.text;
  }

  function matching() {
    const [kind, stream, text] = [byId('kind').value, byId('stream').value, byId('text').value.trim().toLowerCase()];
    return all.filter((entry) => {
      const { s, difference } = entry;
      if (selected && (s !== selected[0] || difference.cell !== selected[1])) return false;
      if (kind === 'explained' ? !difference.explained : kind && difference.kind !== kind) return false;
      return (stream === '' || s === Number(stream)) && (!text || searchable(entry).includes(text));
    });
  }

  function list() {
    const found = matching();
    const open = selected || found.length <= 3 ? 3 : 0;
    byId('list').replaceChildren(...found.slice(0, shown).map((entry, index) => card(entry, index < open)));
    byId('more').hidden = found.length <= shown;
    const total = data.streams.reduce((sum, stream) => sum + stream.total, 0);
    const some = found.length < all.length ? `${number(found.length)} of ${number(all.length)} listed differences` : plural(all.length, 'listed difference');
    byId('count').textContent = total === 0 ? 'There are none.' : `${some}${selected ? ' in the chosen cell' : ''}.`;
    byId('filters').hidden = total === 0;
  }

  function card({ stream, difference }, open) {
    const summary = element('summary', {},
      element('span', { class: 'kind' }, difference.kind),
      element('span', {}, stream.name),
      element('span', { class: 'what' }, what(difference)),
      difference.explained ? element('span', { class: 'tag' }, 'explained') : null,
      element('span', { class: 'when' }, range(difference.from, difference.to)));
    const made = element('details', { class: 'diff', 'data-kind': difference.kind }, summary);
    const build = () => { if (made.open && made.children.length === 1) made.append(inside(difference)); };
    made.addEventListener('toggle', build);
    made.open = open;
    build();
    return made;
  }

  const cellOf = (columns, name) => {
    const pair = columns && columns.find(([other]) => other === name);
    if (!pair) return element('td', {}, element('span', { class: 'none' }, 'no row'));
    return element('td', {}, pair[1] === null ? element('span', { class: 'none' }, 'NULL') : pair[1]);
  };

  function inside(d) {
    const sides = [d.postgres, ...(d.clickhouse.length ? d.clickhouse.map((state) => state.columns) : [null])];
    const names = [...new Set(sides.flatMap((side) => (side || []).map(([name]) => name)))];
    const header = ['Column', 'PostgreSQL', ...(d.clickhouse.length
      ? d.clickhouse.map((state) => (state.sum === 1 ? 'ClickHouse' : `ClickHouse, sum ${state.sum}`)) : ['ClickHouse'])];
    const rows = names.map((name) => {
      const values = sides.filter(Boolean).map((side) => JSON.stringify(side.find(([other]) => other === name)));
      return element('tr', { class: new Set(values).size > 1 ? 'unequal' : null },
        element('th', { scope: 'row' }, name), ...sides.map((side) => cellOf(side, name)));
    });
    const messages = d.clickhouse.flatMap((state) => state.messages);
    return element('div', { class: 'inside' }, table(header, rows),
      d.explained ? element('p', { class: 'explained' }, 'Explained by the dead letter of ', element('code', {}, d.explained[0]), `: ${d.explained[1]}`) : null,
      messages.length ? element('p', { class: 'messages' }, 'Messages (topic/partition/offset): ', element('code', {}, messages.join(', '))) : null,
      element('p', { class: 'messages' }, 'source_key: ', element('code', {}, d.source_key)),
      sql('PostgreSQL, as it is now', d.sql[0]), sql('ClickHouse, the key’s whole history', d.sql[1]));
  }

  function filters() {
    const sum = (kind) => data.streams.reduce((total, stream) => total + stream.tally[kind], 0);
    const kinds = ['missing', 'extra', 'doubled', 'different', 'explained'].filter((kind) => sum(kind));
    const option = (value, text) => element('option', { value }, text);
    byId('kind').append(option('', 'all'), ...kinds.map((kind) => option(kind, `${kind} (${number(sum(kind))})`)));
    byId('stream').append(option('', 'all'), ...data.streams.flatMap((stream, s) =>
      (stream.total ? [option(String(s), `${stream.name} (${number(stream.total)})`)] : [])));
    const again = () => { shown = PAGE; list(); };
    for (const id of ['kind', 'stream', 'text']) byId(id).addEventListener('input', again);
    byId('filters').addEventListener('submit', (event) => event.preventDefault());
    byId('more').addEventListener('click', () => { shown += PAGE; list(); });
  }

  // ---- streams
  function streams() {
    byId('streams').append(...data.streams.map((stream) => {
      const rows = stream.snapshots.map((taken) => element('tr', {}, element('th', { scope: 'row' }, taken.taken),
        ...[taken.lsn, taken.xmin, taken.xmax, taken.running, taken.waited].map((value) => element('td', {}, String(value)))));
      return element('div', { class: 'card' },
        element('div', { class: 'head' }, element('h3', {}, stream.name), element('span', {}, stream.found || stream.verdict)),
        element('p', { class: 'path' }, `${stream.source} → ${stream.topic} → ${stream.table}; ${number(stream.rows[0])} rows in PostgreSQL, ${number(stream.rows[1])} in ClickHouse, ${plural(stream.windows, 'window')}`),
        stream.reason ? element('p', { class: 'explained' }, `Not compared to the end: ${stream.reason}`) : null,
        rows.length ? table(['Snapshot taken', 'LSN', 'xmin', 'xmax', 'Running', 'Waited'], rows) : null,
        stream.more_snapshots ? element('p', { class: 'note' }, `and ${plural(stream.more_snapshots, 'snapshot')} more`) : null);
    }));
  }

  heat();
  filters();
  streams();
  list();
})();
