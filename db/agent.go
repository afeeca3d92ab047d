package db

// An Agent is one User-Agent header with its parsed parts: "" where there is no
// such part, family "Other" where it is unknown.
type Agent struct {
	String      string
	Definitions string // version of the definitions that parsed it
	AgentParts
}

// AgentParts are what definitions say of a User-Agent header.
type AgentParts struct {
	Kind                                              string
	Browser, BrowserMajor, BrowserMinor, BrowserPatch string
	OS, OSMajor, OSMinor, OSPatch, OSPatchMinor       string
	Device, DeviceBrand, DeviceModel                  string
}
