// Requests the status from the broker each second and shows it.

const byId = id => document.getElementById(id);
const period = 1000;
const timeout = 3000; // ms, for an answer, and until the broker's uptime must change
const samples = 120;   // in a small graph: two minutes

const past = {updates: [], deliveries: []};
let last = null;            // the status shown last
let moved = performance.now(); // when the broker's uptime last changed

function meter(label) {
  const element = html('span', {class: 'meter', role: 'meter', 'aria-label': label, 'aria-valuemin': 0});
  element.append(html('span', {class: 'fill'}));
  return element;
}

function setMeter(element, value, most, kind) {
  const full = share(value, most);
  element.className = 'meter ' + kind + (full > 0.9 ? ' high' : '');
  set(element, {
    'aria-valuenow': value || 0, 'aria-valuemax': most || 0,
    'aria-valuetext': `${count(value)} of ${count(most)}`,
  });
  element.firstChild.style.width = (100 * full).toFixed(1) + '%';
}

// ---- tiles

function makeTile(kind) {
  const tile = html('li', {class: 'panel tile ' + kind});
  tile.append(html('h3'), html('p', {class: 'figure'}), html('p', {class: 'quiet'}), html('div', {class: 'below'}));
  return tile;
}

function graph(values) {
  const [width, height] = [160, 28];
  const most = Math.max(...values, 1e-9);
  const at = (value, index) =>
    `${(width * (index + samples - values.length) / (samples - 1)).toFixed(1)} ${(height - 2 - (height - 4) * value / most).toFixed(1)}`;
  const picture = svg('svg', {class: 'graph', viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': true});
  if (values.length > 1) picture.append(svg('path', {d: 'M' + values.map(at).join('L')}));
  return picture;
}

function fullest(processes) {
  const using = processes.filter(each => known(each.fds) && each.max_fds > 0);
  return using.reduce((most, each) => !most || each.fds / each.max_fds > most.fds / most.max_fds ? each : most, null);
}

function tilesOf(status) {
  const {proxies, shards, broker} = status;
  const present = proxies.filter(there);
  const clients = sum(present, 'clients');
  const room = sum(present, 'max_clients');
  const drops = sum(proxies, 'drops_total'), dropping = sum(proxies, 'drops_per_s');
  const full = fullest([broker, ...shards, ...proxies]);
  const slowest = present.filter(each => known(each.flush_interval_ms))
    .reduce((most, each) => !most || each.flush_interval_ms > most.flush_interval_ms ? each : most, null);
  return {
    clients: {title: 'Clients', figure: count(clients || 0), note: room ? `of at most ${count(room)}` : 'no proxy is up',
      meter: [clients, room, 'clients']},
    updates: {title: 'Updates', figure: rate(sum(shards, 'updates_per_s')) + ' /s', note: 'committed by the shards', graph: past.updates},
    deliveries: {title: 'Deliveries', figure: rate(sum(proxies, 'deliveries_per_s')) + ' /s',
      note: bytes(sum(proxies, 'bytes_per_s')) + '/s to clients', graph: past.deliveries},
    drops: {title: 'Drops', figure: count(drops), note: dropping > 0 ? rate(dropping) + ' updates/s are being dropped' : 'updates dropped at full queues',
      tone: dropping > 0 ? 'bad' : ''},
    fds: {title: 'Descriptors', figure: full ? Math.round(100 * full.fds / full.max_fds) + ' %' : unknown,
      note: full ? `${full.name}: ${count(full.fds)} of ${count(full.max_fds)}` : 'not reported', meter: full ? [full.fds, full.max_fds, 'fds'] : null},
    flush: {title: 'Flush interval', figure: slowest ? milliseconds(slowest.flush_interval_ms) : unknown,
      note: slowest ? `${slowest.name}: the longest` : 'not reported'},
  };
}

function showTiles(status) {
  const tiles = tilesOf(status);
  const elements = arrange(byId('tiles'), Object.keys(tiles), makeTile);
  Object.values(tiles).forEach((tile, at) => {
    const [title, figure, note, below] = elements[at].children;
    setText(title, tile.title);
    setText(figure, tile.figure);
    setText(note, tile.note);
    figure.className = 'figure ' + (tile.tone || '');
    if (tile.meter) {
      if (!below.firstChild) below.append(meter(tile.title));
      setMeter(below.firstChild, ...tile.meter);
    } else if (tile.graph) {
      below.replaceChildren(graph(tile.graph));
    } else {
      below.replaceChildren();
    }
  });
}

// ---- tables: each column makes its cell of a row once, then updates it

const text = (label, value, kind = '') => ({label, kind, make: () => [], show: (cell, row) => setText(cell, value(row))});
const number = (label, value) => text(label, value, 'number');
const used = (label, kind, value, most) => ({
  label, kind: 'used',
  make: () => [html('span', {class: 'of'}), meter(label)],
  show: (cell, row) => {
    setText(cell.firstChild, known(value(row)) ? `${count(value(row))} / ${count(most(row))}` : unknown);
    setMeter(cell.lastChild, value(row), most(row), kind);
  },
});
const stated = {
  label: 'State', kind: 'state',
  make: () => [html('span', {class: 'sign', 'aria-hidden': true}), html('span', {class: 'word'})],
  show: (cell, row) => {
    const {sign, tone} = state(row.state);
    cell.className = 'state ' + tone;
    setText(cell.firstChild, sign);
    setText(cell.lastChild, row.state + (row.silent_ms > timeout ? `, no report for ${duration(row.silent_ms)}` : ''));
  },
};
const named = {label: 'Name', kind: 'name', make: () => [], show: (cell, row) => setText(cell, row.name)};
const opening = {
  ...named,
  make: () => [html('button', {type: 'button', class: 'opens', 'aria-controls': 'clients-of'})],
  show: (cell, row) => {
    const button = cell.firstChild;
    setText(button, row.name);
    set(button, {'aria-expanded': row.name === opened, title: 'Its clients'});
    button.onclick = () => openClients(row.name === opened ? null : row.name);
  },
};
const descriptors = used('Descriptors', 'fds', row => row.fds, row => row.max_fds);
const uptime = number('Up for', row => there(row) ? duration(row.uptime_ms) : unknown);

const tables = {
  proxies: {
    empty: 'No proxy is configured, and none has announced itself. Clients connect to proxies.',
    columns: [
      opening, stated, used('Clients', 'clients', row => there(row) ? row.clients : null, row => row.max_clients), descriptors,
      number('Updates/s', row => rate(row.updates_per_s)), number('Deliveries/s', row => rate(row.deliveries_per_s)),
      number('Sent', row => known(row.bytes_per_s) ? bytes(row.bytes_per_s) + '/s' : unknown),
      number('Drops', row => count(row.drops_total)), number('Flush', row => milliseconds(row.flush_interval_ms)), uptime,
    ],
  },
  clients: {
    empty: 'No client is connected.',
    columns: [
      {...named, label: 'Peer', show: (cell, row) => setText(cell, row.peer)}, text('Name', row => row.name || unknown),
      text('Protocol', row => row.protocol), number('Queued', row => bytes(row.queued_bytes)), number('Missed', row => count(row.missed)),
      number('Catch-ups', row => count(row.catch_ups)), number('Age', row => duration(row.age_ms)),
      number('Connection', row => String(row.connection)), text('Subscriptions', row => row.subscriptions.join(', ') || unknown),
    ],
  },
  shards: {
    empty: 'No shard is configured, and none has announced itself. Shards hold the keys.',
    columns: [
      named, stated, number('Partitions', row => count(row.partitions.length)), number('Proxies linked', row => count(row.proxies)),
      descriptors, number('Updates/s', row => rate(row.updates_per_s)), uptime,
    ],
  },
  partitions: {
    empty: 'No partition is known.',
    columns: [
      {...named, label: 'Subtree', show: (cell, row) => setText(cell, row.subtree)}, stated, text('Leader', row => row.leader || unknown),
      text('In sync', row => row.in_sync.join(', ') || unknown),
      text('Other replicas', row => row.others.map(each => `${each.shard}: ${each.state}`).join(', ') || unknown),
      text('Durability', row => row.durability || unknown), number('Epoch', row => known(row.epoch) ? count(row.epoch) : unknown),
      number('Revision', row => row.revision ? count(row.revision.counter) : unknown),
      number('Mirrored by', row => `${row.mirrors} of ${row.proxies}`),
    ],
  },
};

function makeRow(columns) {
  const row = html('tr', {role: 'row'});
  row.append(...columns.map((column, at) => {
    const cell = at === 0 ? html('th', {scope: 'row', role: 'rowheader'}) : html('td', {role: 'cell'});
    set(cell, {class: column.kind, 'data-label': column.label});
    cell.append(...column.make());
    return cell;
  }));
  return row;
}

function makeHead(columns) {
  const head = html('thead', {role: 'rowgroup'}), row = html('tr', {role: 'row'});
  row.append(...columns.map(column => {
    const cell = html('th', {scope: 'col', role: 'columnheader', class: column.kind});
    setText(cell, column.label);
    return cell;
  }));
  head.append(row);
  return head;
}

function showTable(id, items) {
  const table = byId(id), {columns, empty} = tables[id];
  if (!table.tBodies.length) table.append(makeHead(columns), html('tbody', {role: 'rowgroup'}));
  table.tHead.hidden = !items.length;
  const keys = items.length ? items.map(item => item.key) : [''];
  const made = arrange(table.tBodies[0], keys, key => {
    if (items.length) return makeRow(columns);
    const row = html('tr', {role: 'row'}), cell = html('td', {role: 'cell', class: 'empty', colspan: columns.length});
    setText(cell, empty);
    row.append(cell);
    return row;
  });
  items.forEach((item, at) => columns.forEach((column, index) => column.show(made[at].cells[index], item)));
}

const keyed = processes => processes.map(process => ({...process, key: process.name}));

function partitionsOf({partitions, proxies}) {
  const present = proxies.filter(there);
  return partitions.map(partition => ({
    ...partition, key: partition.subtree, proxies: present.length,
    others: partition.replicas.filter(replica => !partition.in_sync.includes(replica.shard)),
    mirrors: present.filter(proxy => mirrors(proxy, partition.subtree)).length,
  }));
}

function troubleOf(partition) {
  if (partition.leader === null) return `${partition.subtree} is not served`;
  const [least, all] = [partition.in_sync.length, partition.replicas.length];
  return least < all ? `${partition.subtree} is in sync on ${least} of ${all} replicas` : null;
}

// ---- the clients of one proxy, while its row is open

const maxClients = 200;
const clientsPeriod = 2000;
let opened = null; // name of the proxy
let openings = 0;  // number of opened rows: an answer for an earlier row is ignored
let asking = 0;    // timer

function showClients(name, clients, note) {
  setText(byId('clients-title'), 'Clients of ' + name);
  setText(byId('clients-note'), note);
  byId('clients').hidden = !clients;
  byId('clients-of').hidden = false;
  if (clients) showTable('clients', clients.map(client => ({...client, key: String(client.connection)})));
}

async function askClients(name, opening) {
  let pause = clientsPeriod, show;
  try {
    const answer = await fetch('api/v1/clients/' + encodeURIComponent(name),
      {cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(timeout)});
    const clients = await answer.json();
    if (!answer.ok) throw new Error(clients.error);
    const most = clients.sort((one, other) => other.queued_bytes - one.queued_bytes).slice(0, maxClients);
    const cut = clients.length > most.length ? ` of ${count(clients.length)}, longest queues first` : ', longest queues first';
    show = () => showClients(name, most, `${count(most.length)} connections${cut}`);
  } catch (fault) {
    pause *= 5; // the broker waits for a proxy that does not answer
    show = () => showClients(name, null, 'Unknown: ' + fault.message);
  }
  if (opening !== openings) return;
  show();
  asking = setTimeout(askClients, pause, name, opening);
}

function openClients(name) {
  clearTimeout(asking);
  opened = name;
  ++openings;
  byId('clients-of').hidden = true;
  showTable('proxies', keyed(last.proxies));
  if (name !== null) askClients(name, openings);
}

// ---- the whole page

function healthOf(status) {
  const all = [...status.shards, ...status.proxies];
  const troubled = all.filter(each => state(each.state).tone !== 'good');
  if (status.broker.state === 'stopping') return {tone: 'warn', sign: '▼', text: 'The cluster is stopping'};
  if (!all.length) return {tone: 'warn', sign: '◌', text: 'No process has announced itself yet'};
  const unsafe = status.partitions.map(troubleOf).filter(known);
  if (!troubled.length && unsafe.length) {
    return {tone: 'warn', sign: '◌', text: unsafe[0] + (unsafe.length > 1 ? `, and ${unsafe.length - 1} more partitions` : '')};
  }
  if (!troubled.length) return {tone: 'good', sign: '●', text: `All ${all.length} processes serve`};
  const worst = troubled.find(each => state(each.state).tone === 'bad') || troubled[0];
  const named = troubled.slice(0, 3).map(each => `${each.name} is ${each.state.split(':')[0]}`).join(', ');
  const more = troubled.length > 3 ? `, and ${troubled.length - 3} more are not ready` : '';
  return {...state(worst.state), text: named + more};
}

function remember(status) {
  for (const [name, processes, field] of [['updates', status.shards, 'updates_per_s'], ['deliveries', status.proxies, 'deliveries_per_s']]) {
    const value = sum(processes, field);
    if (!known(value)) continue;
    past[name].push(value);
    if (past[name].length > samples) past[name].shift();
  }
}

function show(status) {
  const health = healthOf(status);
  const {broker} = status;
  byId('health').className = 'health ' + health.tone;
  setText(byId('health'), health.sign + ' ' + health.text);
  setText(byId('broker'), `${broker.name} ${broker.version}, up for ${duration(broker.uptime_ms)}`);
  document.title = (health.tone === 'good' ? '' : health.sign + ' ') + 'Canopy';
  showTiles(status);
  drawPicture(byId('picture'), status);
  showTable('proxies', keyed(status.proxies));
  showTable('shards', keyed(status.shards));
  showTable('partitions', partitionsOf(status));
}

// A screen reader reads the words once, and not the seconds.
function showLost(ms) {
  const banner = byId('lost');
  if (ms === null) {
    banner.hidden = true;
  } else {
    if (banner.hidden) {
      banner.replaceChildren('The broker does not answer. Connected clients are not affected, unless the broker supervises the cluster. ', html('span', {'aria-hidden': true}));
      banner.hidden = false;
      byId('health').className = 'health warn';
      setText(byId('health'), '◌ Unknown: no answer from the broker');
    }
    setText(banner.lastChild, `Last seen ${duration(ms)} ago; retrying.`);
  }
  byId('main').classList.toggle('stale', ms !== null);
}

async function ask() {
  try {
    const answer = await fetch('api/v1/status', {cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(timeout)});
    if (!answer.ok) throw new Error(answer.statusText);
    const status = await answer.json();
    // The HTTP server of a broker that hangs still serves the last status.
    if (last === null || status.broker.uptime_ms !== last.broker.uptime_ms) {
      moved = performance.now();
      last = status;
      remember(status);
      show(status);
    }
    const unheard = performance.now() - moved;
    showLost(unheard > timeout ? unheard : null);
  } catch {
    showLost(performance.now() - moved);
  }
  setTimeout(ask, period);
}

new ResizeObserver(() => { if (last) drawPicture(byId('picture'), last); }).observe(byId('main'));
ask();
