"""The data path compiled: the same sources as C, where somebody has made them (`make native`).

    sources ──mypyc──▶ plaza_native/ in this environment, with the hash of each source
    import plaza_serving.dataplane │ .doors ──▶ `loading.use` ──▶ C, if it is of these very sources

What is not there, or older than its source, runs interpreted and does the same. `PLAZA_NATIVE=off`
asks for that; `require` makes it an error. Why, and what it brings: docs/decisions/0047-native.md.
"""
