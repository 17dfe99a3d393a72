// Shows what /events tells. Writes text nodes and attributes only: nothing that comes from a server is ever markup.
'use strict';

const byId = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes and children; strings become text. */
function el(name, attributes = {}, ...children) {
  const svg = ['svg', 'path', 'rect', 'title'].includes(name);
  const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

const known = asked => (asked && asked.error === undefined ? asked : null);

/** 12,345 or 1.2 M. */
function count(number) {
  if (number === null || number === undefined) return '–';
  if (number >= 1e7) return (number / 1e6).toFixed(0) + ' M';
  if (number >= 1e6) return (number / 1e6).toFixed(1) + ' M';
  return Math.round(number).toLocaleString('en');
}
function bytes(number) {
  if (number === null || number === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) { number /= 1024; unit += 1; }
  return (number >= 10 || unit === 0 ? number.toFixed(0) : number.toFixed(1)) + ' ' + units[unit];
}
function span(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 1) return (seconds * 1000).toFixed(0) + ' ms';
  if (seconds < 10) return seconds.toFixed(1) + ' s';
  if (seconds < 120) return seconds.toFixed(0) + ' s';
  if (seconds < 7200) return (seconds / 60).toFixed(0) + ' min';
  if (seconds < 172800) return (seconds / 3600).toFixed(0) + ' h';
  return (seconds / 86400).toFixed(0) + ' days';
}
const rate = perSecond => (perSecond === null || perSecond === undefined ? '–' : count(perSecond) + '/s');

const sum = (list, of) => list.reduce((total, each) => total + (of(each) ?? 0), 0);
const worst = levels => ['fail', 'warn', 'wait', 'ok'].find(level => levels.includes(level)) ?? 'wait';

/** What the partitions of a stream add up to. */
function standing(stream) {
  const at = known(stream.standing);
  if (!at) return null;
  const unread = at.partitions.filter(partition => partition.lag_seconds !== null);
  const least = (list, of) => list.map(of).filter(value => value !== null).reduce((a, b) => Math.min(a, b), Infinity);
  const hours = least(at.partitions, partition => partition.hours_left);
  return {
    partitions: at.partitions,
    members: at.members,
    lag: sum(unread, partition => partition.lag),
    seconds: unread.length ? Math.max(...unread.map(partition => partition.lag_seconds)) : 0,
    retention: Math.max(0, ...at.partitions.map(partition => partition.retention_used)),
    hours: Number.isFinite(hours) ? hours : null,
    stuck: at.partitions.filter(partition => !['ok', 'open_batch'].includes(partition.state)),
  };
}
function levelOfStream(stream) {
  const at = standing(stream);
  if (!at) return 'wait';
  if (at.stuck.length) return 'fail';
  if (at.retention > 0.8 || at.seconds > 60 || (at.members && !at.members.length)) return 'warn';
  return 'ok';
}

/** A server of the flow; `undefined` stands for one that this nova does not ask. */
function node(title, server, level, ...lines) {
  if (server === undefined) [level, lines] = ['wait', [el('p', {}, 'not asked from here')]];
  const trouble = server && server.error !== undefined;
  const words = trouble ? [el('p', {}, server.error)] : lines.filter(Boolean);
  return el('div', { class: 'node', 'data-level': trouble ? 'fail' : level },
    el('h3', {}, title), el('p', {}, server ? server.place : ''), ...words);
}
function hop(label, value, moving, level) {
  const path = el('path', { d: 'M2 9 H96 M88 3 L97 9 L88 15', class: moving ? 'moving' : undefined });
  return el('div', { class: 'hop', 'data-level': level }, el('b', {}, value),
    el('svg', { viewBox: '0 0 100 18', preserveAspectRatio: 'xMidYMid meet', 'aria-hidden': 'true' }, path), el('span', { class: 'dim' }, label));
}
const fact = (name, value) => el('p', {}, name + ' ', el('b', {}, value));

function flow({ facts, workers }) {
  const { kafka, clickhouse, streams } = facts;
  const [postgres, connect] = [facts.postgres ?? undefined, facts.connect ?? undefined];
  const slot = postgres?.slot;
  const stands = streams.map(standing).filter(Boolean);
  const paces = streams.map(stream => stream.pace).filter(Boolean);
  const written = paces.length ? sum(paces, pace => pace.written_per_second) : null;
  const read = paces.length ? sum(paces, pace => pace.read_per_second) : null;
  const lag = sum(stands, at => at.lag);
  const seconds = Math.max(0, ...stands.map(at => at.seconds));
  const ages = streams.map(stream => stream.newest_row_seconds).filter(age => typeof age === 'number');
  const tasks = connect?.tasks ?? [];
  const connectLevel = !connect ? 'wait' : connect.trouble ? 'fail' : connect.state === 'RUNNING' ? 'ok' : 'warn';
  const slotLevel = !postgres ? 'wait' : slot === undefined || slot === null ? 'fail' : slot.wal_status === 'lost' ? 'fail' : slot.active ? 'ok' : 'warn';
  byId('flow').replaceChildren(
    node('PostgreSQL', postgres, slotLevel,
      slot ? fact('slot', slot.active ? 'active' : 'nobody reads it') : fact('slot', 'is not there'),
      slot ? fact('WAL kept', bytes(slot.retained_bytes)) : null),
    hop('behind', slot ? bytes(slot.unconfirmed_bytes) : '–', written > 0, slotLevel === 'fail' ? 'fail' : 'ok'),
    node('Debezium', connect, connectLevel, fact('connector', connect?.state ?? 'not registered'),
      fact('tasks', tasks.length ? tasks.join(', ') : 'none')),
    hop('written', rate(written), written > 0, connectLevel),
    node('Kafka', kafka, worst(streams.map(levelOfStream)), fact('unread', count(lag)), fact('oldest', lag ? span(seconds) : 'all read')),
    hop('read', rate(read), read > 0, 'ok'),
    node('nova', null, worst(workers.map(levelOfWorker)), fact('workers here', String(workers.length)),
      fact('streams', count(streams.length))),
    hop('lag', lag ? span(seconds) : 'none', read > 0, 'ok'),
    node('ClickHouse', clickhouse, 'ok', fact('version', clickhouse.version ?? '–'),
      fact('newest row', ages.length ? span(Math.min(...ages)) + ' old' : '–')),
  );
}

function findings({ facts }) {
  const list = facts.findings ?? [];
  byId('findings').hidden = !list.length;
  byId('findings').querySelector('ul').replaceChildren(...list.map(found => el('li', { 'data-level': found.level },
    el('p', {}, el('b', {}, found.group + ' ' + found.name), ': ' + found.finding),
    found.cure ? el('p', { class: 'cure' }, el('code', {}, found.cure)) : null)));
  const level = list.length ? worst(list.map(found => found.level)) : 'ok';
  const verdict = byId('verdict');
  verdict.dataset.level = level;
  const text = !list.length ? 'all well' : list.length === 1 ? '1 thing needs attention' : list.length + ' things need attention';
  if (verdict.textContent !== text) verdict.textContent = text;
}

/** A bar for each partition: its unread messages beside those of the others. */
function bars(at) {
  const most = Math.max(1, ...at.partitions.map(partition => partition.lag));
  const width = 100 / Math.max(1, at.partitions.length);
  const bar = (partition, index) => {
    const unread = partition.lag_seconds === null ? 0 : partition.lag;
    const height = Math.max(3, 100 * unread / most);
    const bad = !['ok', 'open_batch'].includes(partition.state);
    const words = `partition ${partition.partition}: ${count(unread)} unread` + (unread ? `, oldest ${span(partition.lag_seconds)}` : '') + (bad ? `, ${partition.state.replaceAll('_', ' ')}` : '');
    return el('rect', { x: index * width + width * 0.1, y: 100 - height, width: width * 0.8, height, 'data-level': bad ? 'fail' : partition.retention_used > 0.8 ? 'warn' : undefined },
      el('title', {}, words));
  };
  const label = `Unread messages of ${at.partitions.length} partitions, at most ${count(sum([at], () => Math.max(0, ...at.partitions.map(partition => partition.lag_seconds === null ? 0 : partition.lag))))}`;
  return el('div', { class: 'bars' }, el('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, ...at.partitions.map(bar)));
}

function streams({ facts }) {
  byId('streams').replaceChildren(...facts.streams.map(stream => {
    const at = standing(stream);
    const level = levelOfStream(stream);
    const head = el('div', { class: 'line' }, el('h3', {}, stream.stream, el('small', {}, ' ' + stream.topic + ' → ' + stream.table)),
      el('span', { class: 'badge', 'data-level': level }, { ok: 'ok', warn: 'behind', fail: 'stands', wait: 'unknown' }[level]));
    if (!at) return el('article', { class: 'card' }, head, el('p', {}, stream.standing.error));
    const pairs = [
      ['unread', at.lag ? `${count(at.lag)} · oldest ${span(at.seconds)}` : 'none'],
      ['read · written', stream.pace ? `${rate(stream.pace.read_per_second)} · ${rate(stream.pace.written_per_second)}` : '–'],
      ['caught up in', at.lag && stream.pace ? (stream.pace.caught_up_in_seconds === null ? 'not at this rate' : span(stream.pace.caught_up_in_seconds)) : null],
      ['newest row', typeof stream.newest_row_seconds === 'number' ? span(stream.newest_row_seconds) + ' old' : '–'],
      ['retention used', at.lag ? (at.retention * 100).toFixed(0) + ' %' + (at.hours === null ? '' : ` · ${span(at.hours * 3600)} left`) : null],
      ['members', at.members ? String(at.members.length) : '–'],
    ].filter(([, value]) => value !== null);
    return el('article', { class: 'card' }, head, el('dl', {}, ...pairs.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])), bars(at));
  }));
}

function levelOfWorker(worker) {
  return { running: 'ok', stopped: 'wait', starting: 'wait', degraded: 'warn', restarting: 'warn', halted: 'fail' }[statusOf(worker)] ?? 'wait';
}
const statusOf = worker => String(worker.status ?? 'unknown');
function workers(view) {
  byId('workers').replaceChildren(...view.workers.map(worker => el('li', {},
    el('div', { class: 'line' }, el('h3', {}, worker.name), el('span', { class: 'badge', 'data-level': levelOfWorker(worker) }, statusOf(worker))),
    worker.reason ? el('p', {}, worker.reason) : null,
    worker.advice ? el('p', { class: 'dim' }, worker.advice) : null)));
}

const nothing = (place, text) => place.replaceChildren(el('li', { class: 'dim' }, text));
function letters({ facts }) {
  const place = byId('letters');
  if (facts.letters && facts.letters.error !== undefined) return nothing(place, facts.letters.error);
  if (!facts.letters) return nothing(place, 'this installation has no dead-letter topic: poison halts a stream');
  if (!facts.letters.letters) return nothing(place, 'none');
  const most = Math.max(...facts.letters.groups.map(group => group.letters));
  const rows = facts.letters.groups.map(group => el('li', {},
    el('div', { class: 'line' }, el('h3', {}, group.stream), el('span', {}, count(group.letters), el('small', {}, ` · ${count(group.open)} open`))),
    el('p', {}, group.reason, group.path ? el('small', {}, ' at ' + group.path) : null),
    meter(group.letters / most, group.open ? 'warn' : undefined)));
  if (facts.letters.more) rows.push(el('li', { class: 'dim' }, 'and more than were counted: nova dlq list'));
  place.replaceChildren(...rows);
}
function meter(share, level) {
  return el('div', { class: 'meter' }, el('svg', { viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    el('rect', { x: 0, y: 0, width: Math.min(100, Math.max(0, share * 100)), height: 8, 'data-level': level })));
}

function jobs({ facts }) {
  const place = byId('jobs');
  const list = facts.jobs;
  if (list && list.error !== undefined) return nothing(place, list.error);
  if (!list || !list.length) return nothing(place, 'none');
  const levels = { running: 'ok', done: 'ok', interrupted: 'warn', stopped: 'warn', failed: 'fail' };
  place.replaceChildren(...list.map(job => el('li', {},
    el('div', { class: 'line' }, el('h3', {}, `${job.kind} ${job.stream}`, el('small', {}, ' → ' + job.target)),
      el('span', { class: 'badge', 'data-level': levels[job.standing] ?? 'wait' }, job.standing)),
    el('p', {}, `${count(job.done)} of ${count(job.total)} ${job.unit}` + (job.standing === 'running' && job.per_second ? ` · ${rate(job.per_second)} · ${span(job.left_seconds)} left` : '')),
    job.reason ? el('p', { class: 'dim' }, job.reason) : null,
    job.way_on ? el('p', {}, el('code', {}, job.way_on)) : null,
    meter(job.total ? job.done / job.total : 1, levels[job.standing] === 'ok' ? undefined : levels[job.standing]))));
}

/** Where in time a comparison found what; cells with more differences are higher. */
function heatMap({ stream, cells }, columns) {
  const day = ms => new Date(ms).toLocaleString();
  const cell = ({ from_ms, to_ms, first_column, end_column, rows, differences, level }) => {
    const height = level < 3 ? 55 : 55 + 15 * (level - 3);
    return el('rect', { x: first_column, y: 100 - height, width: end_column - first_column, height, 'data-level': ['ok', 'warn', 'wait'][level] ?? 'fail' },
      el('title', {}, `${day(from_ms)} to ${day(to_ms)}: ${count(rows)} rows, ` + (level === 2 ? 'not compared' : differences ? `${count(differences)} keys differ` : 'equal')));
  };
  const label = `${stream}, last compared: ${count(sum(cells, cell => cell.rows))} rows, ${count(sum(cells, cell => cell.differences))} keys differ`;
  return el('svg', { class: 'map', viewBox: `0 0 ${columns} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, ...cells.map(cell));
}
function runs({ facts }) {
  const place = byId('runs');
  const list = known(facts.comparisons);
  if (!list) return place.replaceChildren(el('p', { class: 'dim' }, facts.comparisons.error));
  if (!list.length) return place.replaceChildren(el('p', { class: 'dim' }, 'never compared: nova reconcile'));
  const levels = { equal: 'ok', explained: 'warn', incomplete: 'wait', different: 'fail' };
  const maps = known(facts.heat_maps) ?? [];
  // Streams of one run share their columns.
  const columnsOf = map => Math.max(...maps.filter(other => other.run_id === map.run_id).flatMap(other => other.cells.map(cell => cell.end_column)));
  const rows = facts.streams.flatMap(({ stream }) => {
    const own = list.filter(run => run.stream === stream);
    const cell = run => {
      const words = `${new Date(run.finished_ms).toLocaleString()}: ${run.verdict}` + (run.differences ? `, ${count(run.differences)} keys` : '') + (run.reason ? `, ${run.reason}` : '');
      return el('li', { 'data-level': levels[run.verdict] ?? 'wait', 'aria-label': words, title: words });
    };
    const of = maps.find(map => map.stream === stream);
    return [el('span', {}, stream), own.length
      ? el('div', {}, of && of.cells.length ? heatMap(of, columnsOf(of)) : null, el('ol', { 'aria-label': `comparisons of ${stream}, newest last` }, ...own.map(cell)))
      : el('span', { class: 'dim' }, 'never')];
  });
  const last = Math.max(...list.map(run => run.finished_ms));
  place.replaceChildren(el('div', { class: 'heat' }, ...rows,
    el('p', {}, `The bars are the last comparison from the oldest rows to the newest, the squares the last ten, newest on the right; the last one ended ${span(Math.max(0, facts.taken_ms - last) / 1000)} ago. Green: equal, yellow: explained by dead letters, red: different (the higher, the more keys), grey: not compared.`)));
}

let taken = null;
function show(view) {
  taken = Date.now();
  for (const part of [flow, findings, streams, workers, letters, jobs, runs]) part(view);
  byId('version').textContent = 'nova ' + view.facts.nova_version;
  age();
}

/** Says how old the picture is; an old one is shown as old. */
function age() {
  const seconds = taken === null ? null : (Date.now() - taken) / 1000;
  const old = seconds !== null && seconds > 15;
  document.body.classList.toggle('old', old);
  const level = old ? 'fail' : seconds === null ? 'wait' : 'ok';
  byId('age').dataset.level = level;
  byId('age-text').textContent = seconds === null ? 'connecting' : old ? `not heard of for ${span(seconds)}` : 'live';
}

function listen() {
  const source = new EventSource('events');
  source.onmessage = message => show(JSON.parse(message.data));
  // A browser that was refused does not try again by itself.
  source.onerror = () => {
    age();
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

setInterval(age, 1000);
listen();
