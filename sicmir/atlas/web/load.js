"use strict";
// Shards: scripts that hand over their tables, since a page that is opened from disk may not fetch anything.

const sicmirLoad = (() => {
  const kept = new Map();
  const waiting = new Map();
  let stamp = "";

  window.sicmirShard = (shard) => {
    const entry = waiting.get(shard && shard.key);
    if (entry) entry.shard = shard;
  };

  function broken(key, why) {
    return new Error(`The file shards/${key}.js ${why}`);
  }

  // Whether the columns of a table have the same length, and words for all their codes.
  function whole(table) {
    const columns = Object.values(table).filter((column) => column !== null && typeof column === "object");
    const lengths = columns.map((column) => (column.codes || column).length);
    return (
      new Set(lengths).size < 2 &&
      columns.every((column) => !column.codes || column.codes.every((code) => code in column.levels))
    );
  }

  // Promise of the tables of a shard; a shard that failed is tried again at the next call.
  function shard(key) {
    if (kept.has(key)) return kept.get(key);
    const promise = new Promise((resolve, reject) => {
      const entry = {};
      waiting.set(key, entry);
      const script = document.createElement("script");
      script.src = `shards/${key}.js` + (stamp ? `?${stamp}` : "");
      script.onerror = () =>
        reject(broken(key, "cannot be loaded: it is missing, or there is no connection."));
      script.onload = () => {
        const found = entry.shard;
        if (!found || !found.tables || !Object.values(found.tables).every(whole))
          reject(broken(key, "is damaged."));
        else if (stamp && found.stamp !== stamp)
          reject(broken(key, "belongs to another version of the atlas. Reload the page."));
        else {
          stamp = found.stamp;
          resolve(found.tables);
        }
      };
      for (const event of ["load", "error"])
        script.addEventListener(event, () => {
          waiting.delete(key);
          script.remove();
        });
      document.head.append(script);
    });
    kept.set(key, promise);
    promise.catch(() => kept.delete(key));
    return promise;
  }

  // Rows of a table: objects with the columns of all tables that are given, which have the same rows.
  function rows(...tables) {
    const columns = Object.assign({}, ...tables);
    const names = Object.keys(columns);
    if (!names.length) return [];
    const values = names.map((name) => {
      const column = columns[name];
      return Array.isArray(column) ? column : column.codes.map((code) => column.levels[code]);
    });
    if (values.some((column) => column.length !== values[0].length))
      throw new Error("Columns of a table differ in length: the file is damaged.");
    return values[0].map((_, i) => Object.fromEntries(names.map((name, k) => [name, values[k][i]])));
  }

  return { shard, rows };
})();
