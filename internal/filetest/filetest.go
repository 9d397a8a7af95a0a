// Package filetest lays out files for a test.
//
//	dir := filetest.Tree(t, map[string]string{"a.go": "package a\n", "testdata/in.txt": "x"})
package filetest

import (
	"os"
	"testing"
	"testing/fstest"
)

// Tree writes files, by their paths with slashes, into a new folder that ends with the test.
func Tree(tb testing.TB, files map[string]string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if err := os.CopyFS(dir, tree); err != nil {
		tb.Fatal(err)
	}
	return dir
}
