// Package fair shares what a server has among addresses of which anybody may call: one
// that takes much leaves some for whoever comes.
//
// [Shares] counts what each address holds, of anything that can be counted. [Listen] has
// a listener share its connections so; it starts no goroutines.
package fair
