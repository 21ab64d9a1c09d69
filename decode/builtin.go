package decode

// boxOid is the only built-in type whose arrays have another delimiter than a comma (typdelim).
const boxOid = 603

// A builtin is a type that every server has, with the same oid.
type builtin struct {
	kind    kind
	element uint32 // of an array
}

// builtins is PostgreSQL's own types that a table's column can have, without the row types of its catalogues. It was
// made from the catalogues of 14.23, 15.18, 16.14, 17.10 and 18.4, which agree, and whose source is pg_type.dat:
//
//	select oid, typname, typelem from pg_type
//	where oid < 10000 and typtype in ('b', 'r', 'm') and (typelem = 0 or typsubscript <> 'array_subscript_handler'::regproc
//		or typelem in (select oid from pg_type where typtype in ('b', 'r', 'm')))
//	order by oid;
var builtins = map[uint32]builtin{
	16:   {kindBool, 0},     // bool
	17:   {kindText, 0},     // bytea
	18:   {kindText, 0},     // char
	19:   {kindText, 0},     // name
	20:   {kindNumber, 0},   // int8
	21:   {kindNumber, 0},   // int2
	22:   {kindVector, 21},  // int2vector
	23:   {kindNumber, 0},   // int4
	24:   {kindText, 0},     // regproc
	25:   {kindText, 0},     // text
	26:   {kindText, 0},     // oid
	27:   {kindText, 0},     // tid
	28:   {kindText, 0},     // xid
	29:   {kindText, 0},     // cid
	30:   {kindVector, 26},  // oidvector
	114:  {kindJSON, 0},     // json
	142:  {kindText, 0},     // xml
	143:  {kindArray, 142},  // _xml
	194:  {kindText, 0},     // pg_node_tree
	199:  {kindArray, 114},  // _json
	271:  {kindArray, 5069}, // _xid8
	600:  {kindText, 0},     // point
	601:  {kindText, 0},     // lseg
	602:  {kindText, 0},     // path
	603:  {kindText, 0},     // box
	604:  {kindText, 0},     // polygon
	628:  {kindText, 0},     // line
	629:  {kindArray, 628},  // _line
	650:  {kindText, 0},     // cidr
	651:  {kindArray, 650},  // _cidr
	700:  {kindNumber, 0},   // float4
	701:  {kindNumber, 0},   // float8
	718:  {kindText, 0},     // circle
	719:  {kindArray, 718},  // _circle
	774:  {kindText, 0},     // macaddr8
	775:  {kindArray, 774},  // _macaddr8
	790:  {kindText, 0},     // money
	791:  {kindArray, 790},  // _money
	829:  {kindText, 0},     // macaddr
	869:  {kindText, 0},     // inet
	1000: {kindArray, 16},   // _bool
	1001: {kindArray, 17},   // _bytea
	1002: {kindArray, 18},   // _char
	1003: {kindArray, 19},   // _name
	1005: {kindArray, 21},   // _int2
	1006: {kindArray, 22},   // _int2vector
	1007: {kindArray, 23},   // _int4
	1008: {kindArray, 24},   // _regproc
	1009: {kindArray, 25},   // _text
	1010: {kindArray, 27},   // _tid
	1011: {kindArray, 28},   // _xid
	1012: {kindArray, 29},   // _cid
	1013: {kindArray, 30},   // _oidvector
	1014: {kindArray, 1042}, // _bpchar
	1015: {kindArray, 1043}, // _varchar
	1016: {kindArray, 20},   // _int8
	1017: {kindArray, 600},  // _point
	1018: {kindArray, 601},  // _lseg
	1019: {kindArray, 602},  // _path
	1020: {kindArray, 603},  // _box
	1021: {kindArray, 700},  // _float4
	1022: {kindArray, 701},  // _float8
	1027: {kindArray, 604},  // _polygon
	1028: {kindArray, 26},   // _oid
	1033: {kindText, 0},     // aclitem
	1034: {kindArray, 1033}, // _aclitem
	1040: {kindArray, 829},  // _macaddr
	1041: {kindArray, 869},  // _inet
	1042: {kindText, 0},     // bpchar
	1043: {kindText, 0},     // varchar
	1082: {kindText, 0},     // date
	1083: {kindText, 0},     // time
	1114: {kindTime, 0},     // timestamp
	1115: {kindArray, 1114}, // _timestamp
	1182: {kindArray, 1082}, // _date
	1183: {kindArray, 1083}, // _time
	1184: {kindTime, 0},     // timestamptz
	1185: {kindArray, 1184}, // _timestamptz
	1186: {kindText, 0},     // interval
	1187: {kindArray, 1186}, // _interval
	1231: {kindArray, 1700}, // _numeric
	1266: {kindText, 0},     // timetz
	1270: {kindArray, 1266}, // _timetz
	1560: {kindText, 0},     // bit
	1561: {kindArray, 1560}, // _bit
	1562: {kindText, 0},     // varbit
	1563: {kindArray, 1562}, // _varbit
	1700: {kindNumber, 0},   // numeric
	1790: {kindText, 0},     // refcursor
	2201: {kindArray, 1790}, // _refcursor
	2202: {kindText, 0},     // regprocedure
	2203: {kindText, 0},     // regoper
	2204: {kindText, 0},     // regoperator
	2205: {kindText, 0},     // regclass
	2206: {kindText, 0},     // regtype
	2207: {kindArray, 2202}, // _regprocedure
	2208: {kindArray, 2203}, // _regoper
	2209: {kindArray, 2204}, // _regoperator
	2210: {kindArray, 2205}, // _regclass
	2211: {kindArray, 2206}, // _regtype
	2949: {kindArray, 2970}, // _txid_snapshot
	2950: {kindText, 0},     // uuid
	2951: {kindArray, 2950}, // _uuid
	2970: {kindText, 0},     // txid_snapshot
	3220: {kindText, 0},     // pg_lsn
	3221: {kindArray, 3220}, // _pg_lsn
	3361: {kindText, 0},     // pg_ndistinct
	3402: {kindText, 0},     // pg_dependencies
	3614: {kindText, 0},     // tsvector
	3615: {kindText, 0},     // tsquery
	3642: {kindText, 0},     // gtsvector
	3643: {kindArray, 3614}, // _tsvector
	3644: {kindArray, 3642}, // _gtsvector
	3645: {kindArray, 3615}, // _tsquery
	3734: {kindText, 0},     // regconfig
	3735: {kindArray, 3734}, // _regconfig
	3769: {kindText, 0},     // regdictionary
	3770: {kindArray, 3769}, // _regdictionary
	3802: {kindJSON, 0},     // jsonb
	3807: {kindArray, 3802}, // _jsonb
	3904: {kindText, 0},     // int4range
	3905: {kindArray, 3904}, // _int4range
	3906: {kindText, 0},     // numrange
	3907: {kindArray, 3906}, // _numrange
	3908: {kindText, 0},     // tsrange
	3909: {kindArray, 3908}, // _tsrange
	3910: {kindText, 0},     // tstzrange
	3911: {kindArray, 3910}, // _tstzrange
	3912: {kindText, 0},     // daterange
	3913: {kindArray, 3912}, // _daterange
	3926: {kindText, 0},     // int8range
	3927: {kindArray, 3926}, // _int8range
	4072: {kindText, 0},     // jsonpath
	4073: {kindArray, 4072}, // _jsonpath
	4089: {kindText, 0},     // regnamespace
	4090: {kindArray, 4089}, // _regnamespace
	4096: {kindText, 0},     // regrole
	4097: {kindArray, 4096}, // _regrole
	4191: {kindText, 0},     // regcollation
	4192: {kindArray, 4191}, // _regcollation
	4451: {kindText, 0},     // int4multirange
	4532: {kindText, 0},     // nummultirange
	4533: {kindText, 0},     // tsmultirange
	4534: {kindText, 0},     // tstzmultirange
	4535: {kindText, 0},     // datemultirange
	4536: {kindText, 0},     // int8multirange
	4600: {kindText, 0},     // pg_brin_bloom_summary
	4601: {kindText, 0},     // pg_brin_minmax_multi_summary
	5017: {kindText, 0},     // pg_mcv_list
	5038: {kindText, 0},     // pg_snapshot
	5039: {kindArray, 5038}, // _pg_snapshot
	5069: {kindText, 0},     // xid8
	6150: {kindArray, 4451}, // _int4multirange
	6151: {kindArray, 4532}, // _nummultirange
	6152: {kindArray, 4533}, // _tsmultirange
	6153: {kindArray, 4534}, // _tstzmultirange
	6155: {kindArray, 4535}, // _datemultirange
	6157: {kindArray, 4536}, // _int8multirange
}
