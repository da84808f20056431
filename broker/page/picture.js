// Draws the cluster: shards above, proxies below, a line where a proxy is linked to a shard.

const gap = 12;
const rail = 22; // height between rows, for lines

// Few processes: boxes with figures. Many: small boxes with names only.
function sizes(number, width) {
  const least = number > 24 ? 74 : 100;
  const most = Math.max(1, Math.floor((width + gap) / (least + gap)));
  const columns = Math.ceil(number / Math.ceil(number / most)) || 1; // rows of about the same length
  return {
    columns,
    width: Math.min(168, (width - gap * (columns - 1)) / columns),
    height: number > 24 ? 38 : 62,
    brief: number > 24,
  };
}

// Places rows of boxes from `top` on; the last row is centred too.
function place(all, width, top) {
  const size = sizes(all.length, width);
  const between = all.length > size.columns ? rail : gap;
  return all.map((process, at) => {
    const row = Math.floor(at / size.columns);
    const inRow = Math.min(size.columns, all.length - row * size.columns);
    const left = (width - inRow * size.width - (inRow - 1) * gap) / 2;
    return {
      process, row, ...size,
      x: left + (at % size.columns) * (size.width + gap),
      y: top + row * (size.height + between),
    };
  });
}

const bottom = boxes => boxes.length ? boxes[boxes.length - 1].y + boxes[boxes.length - 1].height : 0;
const middle = box => box.x + box.width / 2;
const rows = boxes => boxes.length ? boxes[boxes.length - 1].row + 1 : 0;

// The longest beginning of the text that fits, with an ellipsis.
const ruler = document.createElement('canvas').getContext('2d');
function fitting(text, room, weight) {
  ruler.font = `${weight} 12px ${getComputedStyle(document.body).fontFamily}`;
  const fits = end => ruler.measureText(text.slice(0, end) + (end < text.length ? '…' : '')).width <= room;
  let end = text.length;
  while (end > 1 && !fits(end)) --end;
  return end < text.length ? text.slice(0, end) + '…' : text;
}

function linkState(shard, proxy) {
  if (!there(shard) || !there(proxy)) return 'gone';
  return shard.partitions.some(replica => serves(replica) && mirrors(proxy, replica.subtree)) ? 'link' : 'idle';
}

function bar(x, y, width, height, kind, value, most) {
  const full = share(value, most);
  const group = svg('g', {class: kind + (full > 0.9 ? ' high' : '')});
  group.append(svg('rect', {class: 'track', x, y, width, height, rx: height / 2}));
  if (full > 0) group.append(svg('rect', {class: 'fill', x, y, width: Math.max(height, full * width), height, rx: height / 2}));
  return group;
}

function write(x, y, text, kind, anchor = 'start') {
  const element = svg('text', {x, y, class: kind, 'text-anchor': anchor});
  element.textContent = text;
  return element;
}

function drawBox(box, lines) {
  const {process, x, y, width, height, brief} = box;
  const {sign, tone} = state(process.state);
  const group = svg('g', {class: 'box ' + tone + (process.max_clients === undefined ? ' shard' : ' proxy')});
  const title = svg('title');
  title.textContent = lines.join('\n');
  group.append(title, svg('rect', {class: 'body', x, y, width, height, rx: 8}));
  group.append(write(x + 9, y + (brief ? 15 : 18), sign, 'sign'));
  group.append(write(x + 22, y + (brief ? 15 : 18), fitting(process.name, width - 30, 600), 'name'));
  const isProxy = process.max_clients !== undefined;
  if (!brief) {
    const figure = !there(process) ? process.state.split(':')[0]
      : isProxy ? count(process.clients) + ' / ' + count(process.max_clients)
      : rate(process.updates_per_s) + ' upd/s';
    group.append(write(x + 10, y + 36, fitting(figure, width - 18, 400), 'figure'));
  }
  const barTop = y + height - (brief ? 16 : 18);
  if (isProxy) group.append(bar(x + 10, barTop, width - 20, 5, 'clients', process.clients, process.max_clients));
  group.append(bar(x + 10, barTop + 8, width - 20, 3, 'fds', process.fds, process.max_fds));
  return group;
}

function drawCurves(layer, shards, proxies) {
  for (const shard of shards) {
    for (const proxy of proxies) {
      const [x1, y1, x2, y2] = [middle(shard), shard.y + shard.height, middle(proxy), proxy.y];
      const half = (y1 + y2) / 2;
      layer.append(svg('path', {
        class: 'line ' + linkState(shard.process, proxy.process),
        d: `M${x1} ${y1}C${x1} ${half} ${x2} ${half} ${x2} ${y2}`,
      }));
    }
  }
}

// With many processes, separate lines would be unreadable: draws rails along the rows, joined at the left.
function drawRails(layer, shards, proxies) {
  const line = (kind, d) => layer.append(svg('path', {class: 'line ' + kind, d}));
  const ends = [];
  const along = (boxes, railOf, kindOf) => {
    for (let row = 0; row < rows(boxes); ++row) {
      const here = boxes.filter(box => box.row === row);
      const y = railOf(here[0]);
      ends.push(y);
      line('link', `M4 ${y}H${middle(here[here.length - 1])}`);
      for (const box of here) line(kindOf(box.process), `M${middle(box)} ${y}V${y < box.y ? box.y : box.y + box.height}`);
    }
  };
  const best = kinds => kinds.includes('link') ? 'link' : kinds.includes('idle') ? 'idle' : 'gone';
  const all = (list, kind) => best(list.map(kind));
  along(shards, box => box.y + box.height + rail / 2, shard => all(proxies, proxy => linkState(shard, proxy.process)));
  along(proxies, box => box.y - rail / 2, proxy => all(shards, shard => linkState(shard.process, proxy)));
  line('link', `M4 ${Math.min(...ends)}V${Math.max(...ends)}`);
}

function boxLines(process) {
  const lines = [process.name + ': ' + process.state];
  if (known(process.max_clients) && there(process)) lines.push(`${count(process.clients)} of ${count(process.max_clients)} clients`);
  if (known(process.fds)) lines.push(`${count(process.fds)} of ${count(process.max_fds)} descriptors`);
  if (known(process.updates_per_s)) lines.push(rate(process.updates_per_s) + ' updates/s');
  if (known(process.deliveries_per_s)) lines.push(rate(process.deliveries_per_s) + ' deliveries/s');
  return lines;
}

function drawPicture(panel, status) {
  const style = getComputedStyle(panel);
  const width = Math.floor(panel.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
  if (width < 120) return; // not laid out yet: the observer calls again
  if (!status.shards.length && !status.proxies.length) {
    const empty = html('p', {class: 'empty'});
    empty.textContent = 'No shard and no proxy is configured, and none has announced itself.';
    return panel.replaceChildren(empty);
  }
  const many = sizes(status.proxies.length, width - 16).columns < status.proxies.length
    || sizes(status.shards.length, width - 16).columns < status.shards.length;
  const inset = many ? 14 : 0; // the trunk at the left
  const drawing = svg('g', {transform: `translate(${inset} 1)`});
  const links = svg('g');
  const shards = place(status.shards, width - inset - 2, 0);
  const proxies = place(status.proxies, width - inset - 2, bottom(shards) + (many ? 2 * rail : 70));
  drawing.append(...[...shards, ...proxies].map(box => drawBox(box, boxLines(box.process))));
  if (shards.length && proxies.length) {
    links.setAttribute('transform', drawing.getAttribute('transform'));
    if (many) {
      links.setAttribute('transform', `translate(0 1)`);
      const shifted = boxes => boxes.map(box => ({...box, x: box.x + inset}));
      drawRails(links, shifted(shards), shifted(proxies));
    } else {
      drawCurves(links, shards, proxies);
    }
  }
  const height = Math.max(bottom(shards), bottom(proxies)) + 2;
  const picture = svg('svg', {width, height, viewBox: `0 0 ${width} ${height}`, role: 'img'});
  const troubled = [...status.shards, ...status.proxies].filter(each => state(each.state).tone !== 'good');
  picture.setAttribute('aria-label', `${status.shards.length} shards linked to ${status.proxies.length} proxies`
    + troubled.map(each => `; ${each.name} is ${each.state}`).join(''));
  picture.append(links, drawing);
  panel.replaceChildren(picture);
}
