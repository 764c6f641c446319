// Writes yjs_updates.json: what real Yjs documents send, and what they show.
// Run with yjs 13 installed: node yjs_updates.mjs > yjs_updates.json
import * as Y from 'yjs'

const hex = (update) => Buffer.from(update).toString('hex')

function record (edit) {
  const doc = new Y.Doc()
  doc.clientID = 7
  const updates = []
  doc.on('update', (update) => updates.push(hex(update)))
  const text = doc.getText('code')
  edit(text, doc)
  return {
    updates,
    state: hex(Y.encodeStateAsUpdate(doc)),
    text: text.toString().toWellFormed(),
    length: text.length
  }
}

console.log(JSON.stringify({
  split: record((t) => { t.insert(0, 'a😀b'); t.insert(2, 'X') }),
  splitdel: record((t) => { t.insert(0, 'a😀b'); t.delete(1, 1) }),
  splitdel2: record((t) => { t.insert(0, 'a😀b'); t.delete(2, 1) }),
  splitmend: record((t) => { t.insert(0, 'a😀b'); t.insert(2, 'X'); t.delete(2, 1) }),
  split_then_end: record((t) => { t.insert(0, 'a😀b'); t.insert(2, 'X'); t.insert(5, 'tail') }),
  embed: record((t) => { t.insert(0, 'ab'); t.insertEmbed(1, { img: 'x' }); t.insert(3, 'Z') }),
  embedtype: record((t) => { t.insert(0, 'ab'); t.insertEmbed(1, new Y.Map()); t.insert(3, 'Z') }),
  format: record((t) => {
    t.insert(0, 'hello')
    t.format(1, 3, { bold: true })
    t.insert(2, 'X')
    t.format(0, 6, { bold: null })
  }),
  lone: record((t) => { t.insert(0, 'a\ud83d'); t.insert(2, '\ude00b') }),
  map: record((t, doc) => { doc.getMap('meta').set('lang', 'py'); t.insert(0, 'x') }),
  types: record((t, doc) => {
    t.insert(0, 'code')
    const map = doc.getMap('map')
    /** @type {any[]} */
    const values = [undefined, null, -5, 1.5, 1.1e300, 12345678901234567890n, true, 2 ** 40]
    values.push({ a: [1, { b: 'é😀' }] }, new Uint8Array([1, 2, 3]), new Y.Doc({ guid: 'abc' }))
    values.push(new Y.Map([['k', 1]]), Y.Array.from([1, 'x']), new Y.Text('in'))
    for (const [index, value] of values.entries()) map.set(`key ${index}`, value)
    const array = doc.getArray('array')
    array.insert(0, [1, 2, 's', { q: 1 }])
    array.delete(1, 2)
    const xml = doc.getXmlFragment('xml')
    xml.insert(0, [new Y.XmlElement('p'), new Y.XmlText('hello')])
    xml.delete(0, 1)
    t.format(0, 2, { bold: true, style: { a: 1 } })
  }),
  wide: record((t) => { t.insert(0, 'e\u0301€👍🏽\n'); t.insert(6, '😀'); t.delete(2, 1); t.insert(1, 'é') })
}, null, 1))
