// Check static tiles, checkpoints and proofs of Consilium with code that is not Consilium's:
// golang.org/x/mod/sumdb/note and sumdb/tlog, which C2SP's signed notes and tiles come from.
// Ours are only the readers of two text files and the cosignature (C2SP tlog-cosignature).
//
// On Debian: apt-get install golang-go golang-golang-x-mod-dev, then
// GO111MODULE=off GOPATH=/usr/share/gocode go run tests/foreign/check.go TILES POLICY [PROOF…]
// TILES: one log's folder of `consilium site mirror --out DIR`. Exit 0: everything holds.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/ioutil"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type cosig struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosig) Name() string    { return c.name }
func (c cosig) KeyHash() uint32 { return c.hash }
func (c cosig) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	t := binary.BigEndian.Uint64(sig)
	m := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", t)), msg...)
	return ed25519.Verify(c.key, m, sig[8:])
}
func must(err error) {
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
}
func verifier(vkey string) note.Verifier {
	p := strings.SplitN(vkey, "+", 3)
	k, err := base64.StdEncoding.DecodeString(p[2])
	must(err)
	if k[0] == 1 {
		v, err := note.NewVerifier(vkey)
		must(err)
		return v
	}
	h := sha256.Sum256([]byte(p[0] + "\n" + string(k)))
	id := binary.BigEndian.Uint32(h[:4])
	got, _ := strconv.ParseUint(p[1], 16, 32)
	if uint32(got) != id {
		must(fmt.Errorf("key id of %s", p[0]))
	}
	return cosig{p[0], id, ed25519.PublicKey(k[1:])}
}

type reader struct{ dir string }

func (r reader) Height() int { return 8 }
func (r reader) ReadTiles(ts []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range ts {
		p := strings.Replace(t.Path(), "tile/8/", "tile/", 1)
		d, err := ioutil.ReadFile(filepath.Join(r.dir, p))
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
func (r reader) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	dir := os.Args[1]
	pol, err := ioutil.ReadFile(os.Args[2])
	must(err)
	var vs []note.Verifier
	var logv note.Verifier
	for _, l := range strings.Split(string(pol), "\n") {
		f := strings.Fields(l)
		if len(f) > 1 && f[0] == "log" {
			logv = verifier(f[1])
			vs = append(vs, logv)
		}
		if len(f) > 2 && f[0] == "witness" {
			vs = append(vs, verifier(f[2]))
		}
	}
	cp, err := ioutil.ReadFile(filepath.Join(dir, "checkpoint"))
	must(err)
	n, err := note.Open(cp, note.VerifierList(vs...))
	must(err)
	fmt.Println("signatures by keys of the policy:", len(n.Sigs), "unknown:", len(n.UnverifiedSigs))
	lines := strings.Split(n.Text, "\n")
	if lines[0] != logv.Name() {
		must(fmt.Errorf("origin"))
	}
	size, _ := strconv.ParseInt(lines[1], 10, 64)
	root, _ := base64.StdEncoding.DecodeString(lines[2])
	var th tlog.Hash
	copy(th[:], root)
	hr := tlog.TileHashReader(tlog.Tree{N: size, Hash: th}, reader{dir})
	h, err := tlog.TreeHash(size, hr)
	must(err)
	if h != th {
		must(fmt.Errorf("root"))
	}
	fmt.Println("root from tiles:", h)
	// entries
	var leaves [][]byte
	for b := int64(0); b*256 < size; b++ {
		t := tlog.Tile{H: 8, L: 0, N: b, W: 256}
		if (b+1)*256 > size {
			t.W = int(size % 256)
		}
		p := strings.Replace(t.Path(), "tile/8/0/", "tile/entries/", 1)
		d, err := ioutil.ReadFile(filepath.Join(dir, p))
		must(err)
		for len(d) > 0 {
			l := int(binary.BigEndian.Uint16(d))
			leaves = append(leaves, d[2:2+l])
			d = d[2+l:]
		}
	}
	if int64(len(leaves)) != size {
		must(fmt.Errorf("%d entries", len(leaves)))
	}
	for i, l := range leaves {
		pr, err := tlog.ProveRecord(size, int64(i), hr)
		must(err)
		must(tlog.CheckRecord(pr, size, th, int64(i), tlog.RecordHash(l)))
		pt, err := tlog.ProveTree(size, int64(i)+1, hr)
		must(err)
		oh, err := tlog.TreeHash(int64(i)+1, hr)
		must(err)
		must(tlog.CheckTree(pt, size, th, int64(i)+1, oh))
	}
	fmt.Println("entries included and consistent at every size:", len(leaves))
	opened := 0
	for _, l := range leaves { // every entry is a signed note
		if _, err := note.Open(l, note.VerifierList()); err != nil {
			if _, ok := err.(*note.UnverifiedNoteError); ok {
				opened++
				continue
			}
			must(err)
		}
	}
	fmt.Println("entries that parse as signed notes:", opened)
	for _, f := range os.Args[3:] {
		d, err := ioutil.ReadFile(f)
		must(err)
		parts := bytes.SplitN(d, []byte("\n\n"), 2)
		hd := strings.Split(string(parts[0]), "\n")
		if hd[0] != "c2sp.org/tlog-proof@v1" {
			must(fmt.Errorf("header %q", hd[0]))
		}
		var idx int64
		var pr tlog.RecordProof
		for _, l := range hd[1:] {
			if strings.HasPrefix(l, "index ") {
				idx, _ = strconv.ParseInt(l[6:], 10, 64)
			} else if !strings.HasPrefix(l, "extra ") {
				x, err := base64.StdEncoding.DecodeString(l)
				must(err)
				var hh tlog.Hash
				copy(hh[:], x)
				pr = append(pr, hh)
			}
		}
		n, err := note.Open(parts[1], note.VerifierList(vs...))
		must(err)
		cl := strings.Split(n.Text, "\n")
		sz, _ := strconv.ParseInt(cl[1], 10, 64)
		rt, _ := base64.StdEncoding.DecodeString(cl[2])
		var rh tlog.Hash
		copy(rh[:], rt)
		must(tlog.CheckRecord(pr, sz, rh, idx, tlog.RecordHash(leaves[idx])))
		fmt.Println("proof", filepath.Base(f), "of entry", idx, "under size", sz, "with", len(n.Sigs), "signatures")
	}
}
